package import GRPCCore
package import ProgressProto
import SwiftProtobuf

/// Tells callers how far erasures and copies have come, from the board of the pool: a service of our own, not of CSI.
///
/// It only looks, so it needs no gate; a watch ends when its caller leaves or the driver stops.
package struct ProgressService: Pmemcsi_V0_Progress.SimpleServiceProtocol {
    private static let interval = Duration.milliseconds(500)

    private let board: WorkBoard

    package init(board: WorkBoard) {
        self.board = board
    }

    package func watch(
        request: Pmemcsi_V0_WatchRequest, response: RPCWriter<Pmemcsi_V0_WatchResponse>, context: ServerContext
    ) async throws {
        let wanted = request.name
        guard wanted.utf8.count <= FieldLimits.string else {
            throw RequestError(
                .invalidArgument, "name has \(wanted.utf8.count) bytes; \(FieldLimits.string) are allowed")
        }
        var sent: [WorkBoard.Work] = []
        // gRPC tells here, not by the task's cancellation, that the caller left or that the server is to stop.
        while !context.cancellation.isCancelled {
            let works = board.all.filter { wanted.isEmpty || $0.name == wanted || $0.id == wanted }
            for work in works where !sent.contains(work) { try await response.write(Self.message(work)) }
            sent = works
            try await Task.sleep(for: Self.interval)
        }
    }

    private static func message(_ work: WorkBoard.Work) -> Pmemcsi_V0_WatchResponse {
        .with {
            $0.volumeID = work.id
            $0.name = work.name
            $0.operation = work.kind.rawValue
            $0.doneBytes = Int64(clamping: work.done)
            $0.totalBytes = Int64(clamping: work.total)
        }
    }
}
