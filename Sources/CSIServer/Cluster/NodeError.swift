package import GRPCCore

/// What came of a call that was passed on to a node, where it was no success; thrown by `NodeCaller`.
/// The message names the node.
package struct NodeError: Error, Sendable, CustomStringConvertible {
    package enum Outcome: Sendable, Hashable {
        /// The node said so.
        case answered(RPCError.Code)
        /// Certainly nothing: the node never got the call.
        case notSent
        /// The node may have done it or may still do it; late, if it was given all of its time.
        case open(isLate: Bool)
    }

    package let outcome: Outcome
    package let message: String

    package init(_ outcome: Outcome, _ message: String) {
        self.outcome = outcome
        self.message = message
    }

    package var description: String { message }
}
