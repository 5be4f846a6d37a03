/// What the user typed does not make a call; its text goes to stderr and the exit status is 2.
struct UsageError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
