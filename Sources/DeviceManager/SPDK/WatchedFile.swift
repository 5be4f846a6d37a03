import FoundationEssentials
package import Logging
import Synchronization

/// A JSON file that is looked at again when it may have changed: what was last good stays in force while it is broken.
///
/// Looking costs one small read, at most every second; a mounted ConfigMap changes by its links, so only contents tell.
package final class WatchedFile<Value: Sendable>: Sendable {
    private struct State {
        var contents: Data?
        var value: Value?
        var looked: ContinuousClock.Instant?
    }

    package let path: String
    private let isOptional: Bool
    private let logger: Logger
    private let parse: @Sendable (JSONNode) throws(ConfigurationError) -> Value
    private let state = Mutex(State())

    /// Throws where the file is broken, or missing though it must be there.
    package init(
        _ path: String, isOptional: Bool, logger: Logger,
        parse: @escaping @Sendable (JSONNode) throws(ConfigurationError) -> Value
    ) throws {
        self.path = path
        self.isOptional = isOptional
        self.logger = logger
        self.parse = parse
        let contents = FileManager.default.contents(atPath: path)
        guard contents != nil || isOptional else {
            throw ConfigurationError("\(path): the file is missing or cannot be read")
        }
        let value = try contents.map { try Self.value($0, path, parse) }
        state.withLock { $0 = State(contents: contents, value: value, looked: .now) }
    }

    /// Nil while an optional file is missing.
    package var current: Value? {
        let isDue = state.withLock { state in
            guard state.looked.map({ .now - $0 >= .seconds(1) }) ?? true else { return false }
            state.looked = .now
            return true
        }
        if isDue { look() }
        return state.withLock(\.value)
    }

    private func look() {
        let contents = FileManager.default.contents(atPath: path)
        let isNew = state.withLock { state in
            guard state.contents != contents else { return false }
            state.contents = contents
            return true
        }
        guard isNew else { return }
        guard let contents else {
            if isOptional { state.withLock { $0.value = nil } }
            logger.warning("a configuration file is gone", metadata: ["file": "\(path)", "kept": "\(!isOptional)"])
            return
        }
        do {
            let value = try Self.value(contents, path, parse)
            state.withLock { $0.value = value }
            logger.notice("a configuration file has changed, and is in force", metadata: ["file": "\(path)"])
        } catch {
            logger.error(
                "a configuration file is broken; what it said before stays in force", metadata: ["error": "\(error)"])
        }
    }

    private static func value(
        _ contents: Data, _ path: String, _ parse: (JSONNode) throws(ConfigurationError) -> Value
    ) throws -> Value {
        guard let node = try? JSONDecoder().decode(JSONNode.self, from: contents) else {
            throw ConfigurationError("\(path): it is no JSON")
        }
        do throws(ConfigurationError) {
            return try parse(node)
        } catch {
            throw error.at(path)
        }
    }
}
