/// Where the kernel keeps its data about each page of an fsdax namespace.
package enum PageMap: String, Sendable, CaseIterable, Codable {
    /// In the namespace, of which it takes a sixty-fourth.
    case dev
    /// In the machine's ordinary memory.
    case mem
}

/// The StorageClass parameters that only volumes have that are namespaces themselves.
package struct NamespaceParameters: Sendable, Equatable, Codable {
    static let keys = ["pageMap", "numaNode", "region"]

    package var pageMap = PageMap.dev
    /// Only regions of this NUMA node; nil for all.
    package var numaNode: Int?
    /// Only this region, such as `region0`; nil for all.
    package var region: String?

    package init() {}

    /// Takes one of `keys`.
    mutating func set(_ key: String, _ value: String) throws(DeviceError) {
        switch key {
        case "pageMap":
            guard let pageMap = PageMap(rawValue: value) else {
                throw DeviceError(.invalidArgument, "parameters: pageMap is \"\(value)\"; it can be dev or mem")
            }
            self.pageMap = pageMap
        case "numaNode":
            guard let node = Int(value), node >= 0 else {
                throw DeviceError(
                    .invalidArgument, "parameters: numaNode is \"\(value)\"; it can be the number of a NUMA node")
            }
            numaNode = node
        default:
            guard value.wholeMatch(of: /region[0-9]{1,9}/) != nil else {
                throw DeviceError(
                    .invalidArgument, "parameters: region is \"\(value)\"; it can be the name of one, such as region0")
            }
            region = value
        }
    }

    var context: [String: String] {
        var context: [String: String] = [:]
        if pageMap != .dev { context["pageMap"] = pageMap.rawValue }
        context["numaNode"] = numaNode.map { "\($0)" }
        context["region"] = region
        return context
    }
}
