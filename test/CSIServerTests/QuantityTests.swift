import Testing

@testable import CSIServer

struct QuantityTests {
    @Test(
        "sizes are read as Kubernetes writes them",
        arguments: [
            ("0", 0), ("1", 1), ("1073741824", 1 << 30), ("1Ki", 1024), ("100Mi", 100 << 20), ("10Gi", 10 << 30),
            ("3Ti", 3 << 40), ("1Pi", 1 << 50), ("1k", 1000), ("2M", 2_000_000), ("5G", 5_000_000_000),
            ("1e9", 1_000_000_000),
            ("1E3", 1000), ("1E", 1_000_000_000_000_000_000), ("1.5Gi", 3 << 29), (".5Ki", 512), ("1.Ki", 1024),
            ("0.1", 1), ("1.0001k", 1001),
            ("0.00000000000000000001", 1), ("9223372036854775807", UInt64(Int64.max)), ("7Ei", 7 << 60),
        ] as [(String, UInt64)])
    func good(text: String, bytes: UInt64) {
        #expect(Quantity.bytes(text) == bytes)
    }

    @Test(
        "what is no size is refused",
        arguments: [
            "", ".", "Gi", "-1", "+1", "1 Gi", " 1", "1gi", "1GiB", "1.2.3", "1e", "1e99", "1e-3", "0x10",
            "9223372036854775808", "8Ei",
            "99999999999999999999", "16Ei", "18446744073709551616Ei", "\u{661}Gi", "1e+3x", "100m",
        ])
    func bad(text: String) {
        #expect(Quantity.bytes(text) == nil)
    }
}
