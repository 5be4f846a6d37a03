/// A record as pmem-csi writes it: id, size and a string map; read once, to take its volumes over.
struct ForeignRecord: Decodable {
    let id: String
    let size: UInt64
    let parameters: [String: String]

    /// The same volume as a record of ours; nil when it is not one that can be taken over.
    var record: VolumeRecord? {
        guard let id = VolumeID(id) else { return nil }
        var ours = VolumeParameters()
        if let erase = parameters["eraseafter"] {
            ours.eraseAfter = !["0", "f", "F", "false", "FALSE", "False"].contains(erase)
        }
        // Version 1.1 says what the volume is used for instead, and makes sector namespaces for files.
        if parameters["nsmode"] == "sector" || parameters["usage"] == "FileIO" { ours.mode = .sector }
        var record = VolumeRecord(
            adopting: Volume(id: id, size: size, location: ""), name: parameters["name"] ?? "", parameters: ours)
        record.location = nil
        return record
    }
}
