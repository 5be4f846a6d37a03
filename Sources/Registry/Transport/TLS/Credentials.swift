package import FoundationEssentials
package import Logging
import NIOCertificateReloading
package import NIOSSL
import ServiceLifecycle
import Synchronization
import X509

/// One process's certificate, key and trusted authorities, as the files have them now.
///
/// Owned by the assembly. As a service it looks at the files every few seconds; new ones are used from the next handshake
/// on, and connections that exist are left alone. Files that do not fit together (yet) change nothing.
package final class Credentials: CertificateReloader, Service {
    private struct State {
        var identity: Identity
        var fingerprint: [UInt64]
        var complaint = ""
        var warned: Date?
    }

    /// From when on the log says every day that a certificate is about to expire.
    private static let notice: TimeInterval = 30 * 86400

    private let files: TLSFiles
    private let interval: Duration
    private let logger: Logger
    private let state: Mutex<State>

    /// Reads the files; throws where they are missing or do not fit together.
    package init(_ files: TLSFiles, interval: Duration = .seconds(5), logger: Logger) throws(TransportError) {
        self.files = files
        self.interval = interval
        self.logger = logger
        // Before reading: a change in between is then seen by the next look.
        let fingerprint = files.fingerprint()
        state = Mutex(State(identity: try Identity(files), fingerprint: fingerprint))
        warn()
    }

    var identity: Identity { state.withLock(\.identity) }

    /// When the first of the certificates expires.
    package var expiry: Date { identity.expiry }

    package var sslContextConfigurationOverride: NIOSSLContextConfigurationOverride {
        let identity = identity
        var result = NIOSSLContextConfigurationOverride()
        result.certificateChain = identity.chain
        result.privateKey = identity.key
        return result
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            while (try? await Task.sleep(for: interval)) != nil {
                refresh()
                warn()
            }
        }
    }

    /// Reads the files anew if they changed.
    func refresh() {
        let fingerprint = files.fingerprint()
        guard state.withLock({ $0.fingerprint != fingerprint }) else { return }
        do {
            let identity = try Identity(files)
            state.withLock { state in
                state.identity = identity
                state.fingerprint = fingerprint
                state.complaint = ""
                state.warned = nil
            }
            logger.notice("certificates were replaced", metadata: metadata(identity))
        } catch {
            // Files are replaced one after the other, so this may be over in a moment; it is said once.
            let isNew = state.withLock { state in
                defer { state.complaint = "\(error)" }
                return state.complaint != "\(error)"
            }
            if isNew {
                logger.warning(
                    "changed certificates cannot be used; those before stay in use", metadata: ["error": "\(error)"])
            }
        }
    }

    private func warn() {
        let now = Date()
        let identity: Identity? = state.withLock { state in
            guard state.identity.expiry.timeIntervalSince(now) < Self.notice,
                now.timeIntervalSince(state.warned ?? .distantPast) >= 86400
            else { return nil }
            state.warned = now
            return state.identity
        }
        guard let identity else { return }
        if identity.expiry > now {
            logger.warning("a certificate expires soon", metadata: metadata(identity))
        } else {
            logger.error("a certificate has expired: connections will be refused", metadata: metadata(identity))
        }
    }

    private func metadata(_ identity: Identity) -> Logger.Metadata {
        [
            "certificate": "\(files.certificate)", "ca": "\(files.ca)", "subject": "\(identity.leaf.subject)",
            "expires": "\(identity.expiry)",
        ]
    }
}
