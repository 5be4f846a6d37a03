/// Why a storage node did not do what was asked. The message names the node, the method and the reason; it never holds
/// a password.
package struct SPDKError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// Nothing reached SPDK: no connection, or no credentials.
        case notSent
        /// It was sent, and no answer came that says what became of it.
        case lost
        /// The same, because the time was over.
        case late
        /// The proxy does not know this user.
        case unauthorized
        /// The other side does not speak JSON-RPC, or answers with what it should not.
        case malformed
        /// SPDK's own refusal, with its number.
        case refused(Int)
    }

    package let code: Code
    package let message: String
    /// SPDK's own words, where it has answered.
    package let text: String

    package init(_ code: Code, _ message: String, text: String = "") {
        self.code = code
        self.message = message
        self.text = text
    }

    package var description: String { message }
}

/// What SPDK's numbers and texts mean. The number decides where it says something; texts only where SPDK has one number
/// for everything.
package enum Refusal: Sendable, Hashable {
    case notFound
    case exists
    case noSpace
    /// Busy, or in the middle of another change: the same call may succeed in a moment.
    case busy
    /// Others depend on it.
    case notPermitted
    case unknownMethod
    /// The parameters are not of this version.
    case parameters
    case other
}

extension SPDKError {
    /// Nil where SPDK did not answer.
    package var refusal: Refusal? {
        guard case .refused(let number) = code else { return nil }
        switch number {
        case -19, 19, -2: return .notFound
        case -17: return .exists
        case -28: return .noSpace
        case -16, -11: return .busy
        case -32601: return .unknownMethod
        default: return Refusal(text: text, number: number)
        }
    }

    /// Whether something may have happened all the same.
    package var isAmbiguous: Bool {
        switch code {
        case .lost, .late, .malformed: true
        case .notSent, .unauthorized, .refused: false
        }
    }

    /// Whether the storage node as a whole is out of reach.
    package var isOutage: Bool {
        switch code {
        case .notSent, .lost, .late: true
        case .unauthorized, .malformed, .refused: false
        }
    }
}

extension Refusal {
    /// -1, -32602 and -32603 are given for everything; the texts are those of glibc and of SPDK's sources.
    fileprivate init(text: String, number: Int) {
        let text = text.lowercased()
        let meanings: [(String, Refusal)] = [
            ("file exists", .exists), ("already exists", .exists), ("no space left", .noSpace),
            ("no such device", .notFound), ("no such file", .notFound), ("not found", .notFound),
            ("does not exist", .notFound), ("device or resource busy", .busy), ("try again later", .busy),
            ("retry later", .busy), ("already being destroyed", .busy), ("operation not permitted", .notPermitted),
            ("decode_object failed", .parameters), ("invalid parameters", .parameters),
            ("invalid argument", .parameters),
        ]
        if let (_, meaning) = meanings.first(where: { text.contains($0.0) }) {
            self = meaning
        } else {
            self = number == -32602 ? .parameters : .other
        }
    }
}
