/// The flags of one program as Go's programs spell them, translated to what ArgumentParser reads: one dash or two,
/// `-flag=value` or `-flag value`, `-boolean=false`, and an environment variable for each. A pure value; it neither
/// knows the flags' types nor looks at what is no flag of the program.
package struct FlagSyntax: Sendable {
    private let names: Set<String>
    private let booleans: Set<String>
    /// Flag to variable, for the variables that other programs of the field read as well.
    private let environmentNames: [String: String]

    /// `flags` are those with a value. A Boolean flag is an ArgumentParser `@Flag` whose default is false; `version`
    /// and `help` are known anyway.
    package init(flags: [String], booleans: [String] = [], environmentNames: [String: String] = [:]) {
        self.booleans = Set(booleans).union(Self.alwaysThere)
        self.names = Set(flags).union(self.booleans)
        self.environmentNames = environmentNames
    }

    private static let alwaysThere: Set = ["version", "help", "h"]

    /// The arguments with each flag as `--flag=value`, preceded by what only the environment says. Values on the
    /// command line come later and so win; a variable that is empty counts as not set.
    package func normalize(_ arguments: [String], environment: [String: String]) throws(FlagError) -> [String] {
        var result: [String] = []
        for name in names.subtracting(Self.alwaysThere).sorted() {
            guard let (variable, value) = setting(of: name, in: environment) else { continue }
            result += try assignment(name, value, origin: "environment variable \(variable)")
        }
        // Whether a Boolean flag is set is known only at the end: `-flag=false` overrules what came before.
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument != "--" else { return result + ["--"] + rest }
            guard let (name, attached) = split(argument) else {
                result.append(Self.isUnknown(argument) ? "-" + argument : argument)
                continue
            }
            let value: String
            if let attached {
                value = attached
            } else if booleans.contains(name) {
                value = "true"
            } else if let next = rest.popFirst() {
                value = next
            } else {
                throw FlagError("flag -\(name) needs a value: -\(name)=VALUE")
            }
            if booleans.contains(name) {
                result.removeAll { $0 == Self.dashed(name) }
            }
            result += try assignment(name, value, origin: "flag -\(name)")
        }
        return result
    }

    /// The variable of a flag that has no other name: `deviceManager` is `PMEM_CSI_DEVICE_MANAGER`.
    package static func environmentName(_ flag: String) -> String {
        var name = "PMEM_CSI_"
        var afterLower = false
        for character in flag {
            if character.isUppercase && afterLower {
                name += "_"
            }
            afterLower = character.isLowercase || character.isNumber
            name += character == "-" ? "_" : character.uppercased()
        }
        return name
    }

    private func setting(of flag: String, in environment: [String: String]) -> (variable: String, value: String)? {
        for variable in [Self.environmentName(flag), environmentNames[flag]].compactMap(\.self) {
            if let value = environment[variable], !value.isEmpty {
                return (variable, value)
            }
        }
        return nil
    }

    /// With one dash ArgumentParser would take its letters for flags, `-hostpath` for a wish for help.
    private static func isUnknown(_ argument: String) -> Bool {
        let (first, second) = (argument.first, argument.dropFirst().first)
        return argument.count > 2 && first == "-" && second?.isLetter == true
    }

    /// The flag's name, and the value if it is attached with `=`; nil if the argument is no flag of the program.
    private func split(_ argument: String) -> (name: String, value: String?)? {
        guard argument.hasPrefix("-") else { return nil }
        let body = argument.dropFirst(argument.hasPrefix("--") ? 2 : 1)
        let parts = body.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = parts.first.map(String.init), names.contains(name) else { return nil }
        return (name, parts.count > 1 ? String(parts[1]) : nil)
    }

    private func assignment(_ name: String, _ value: String, origin: String) throws(FlagError) -> [String] {
        guard booleans.contains(name) else { return ["\(Self.dashed(name))=\(value)"] }
        switch value {
        case "1", "t", "T", "true", "TRUE", "True": return [Self.dashed(name)]
        case "0", "f", "F", "false", "FALSE", "False": return []
        default: throw FlagError("\(origin): \"\(value)\" is no Boolean value; use true or false")
        }
    }

    /// ArgumentParser knows names of one letter by one dash, but takes their value only without `=` there.
    private static func dashed(_ name: String) -> String {
        name == "h" ? "-h" : "--\(name)"
    }
}

/// What is wrong with a program's command line or environment; the message names the flag.
package struct FlagError: Error, Sendable, CustomStringConvertible {
    package let message: String

    package init(_ message: String) {
        self.message = message
    }

    package var description: String { message }
}
