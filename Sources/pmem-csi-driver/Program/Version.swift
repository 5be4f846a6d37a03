/// The version that all programs of the package report, by `-version` and in GetPluginInfo.
package enum Version {
    package static let current = "1.0.0-dev"
}
