/// One connection as the kernel's /dev/nvme-fabrics takes it.
struct FabricsOptions: Sendable {
    let transport: RemoteVolume.Transport
    /// Resolved.
    let address: TargetAddress
    let nqn: String
    let host: HostIdentity
    let timeouts: PathTimeouts

    /// Nothing in it can hold a comma: `RemoteVolume` has checked what came from outside.
    var text: String {
        [
            "transport=\(transport.rawValue)", "traddr=\(address.host)", "trsvcid=\(address.port)", "nqn=\(nqn)",
            "hostnqn=\(host.nqn)", "hostid=\(host.id)", "reconnect_delay=\(timeouts.reconnectDelay)",
            "ctrl_loss_tmo=\(timeouts.controllerLoss)",
        ].joined(separator: ",")
    }
}
