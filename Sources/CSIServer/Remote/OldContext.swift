import DeviceManager
import FoundationEssentials
import Glibc
import Host

/// What spdk-csi left in a staging directory: the volume context, for its own unstaging.
struct OldContext {
    let values: [String: String]
    private let path: String

    /// Throws where there is none that can be read.
    init(staging: String) throws {
        path = "\(staging)/volume-context.json"
        values = try JSONDecoder().decode([String: String].self, from: Data(contentsOf: URL(filePath: path)))
    }

    /// Without it kubelet can remove the directory. Blocks.
    func remove() { unlink(path) }
}
