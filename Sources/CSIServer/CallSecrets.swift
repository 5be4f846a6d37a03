/// The secrets of the CSI call that the current task serves, for pools that need some; never logged, never stored.
package enum CallSecrets {
    @TaskLocal package static var current: [String: String] = [:]
}
