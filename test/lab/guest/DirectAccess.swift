import FoundationEssentials
import Glibc

/// Proofs that a file is mapped straight onto the persistent memory.
enum DirectAccess {
    static let hugePage = 2 << 20
    /// linux/mman.h; the kernel refuses MAP_SYNC where a file is not DAX, but only together with MAP_SHARED_VALIDATE.
    private static let sharedValidate: Int32 = 0x03
    private static let sync: Int32 = 0x80000
    /// RUSAGE_THREAD of sys/resource.h, which only C sees.
    private static let thisThread: Int32 = 1

    struct Faults {
        /// Pieces of 2 MiB that were touched, and those that cost one page fault instead of 512.
        var pieces = 0
        var huge = 0
    }

    /// Makes a file, writes the text through a mapping, and returns whether MAP_SYNC was accepted.
    static func writeSynchronously(_ text: String, to path: String) throws {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard file >= 0, posix_fallocate(file, 0, 4096) == 0 else { throw Kernel.failure("create", path) }
        defer { close(file) }
        let flags = sharedValidate | sync
        guard let memory = mmap(nil, 4096, PROT_READ | PROT_WRITE, flags, file, 0), memory != MAP_FAILED else {
            throw Kernel.failure("mmap with MAP_SYNC", path)
        }
        defer { munmap(memory, 4096) }
        _ = text.withCString { memcpy(memory, $0, strlen($0)) }
        guard ftruncate(file, off_t(text.utf8.count)) == 0 else { throw Kernel.failure("truncate", path) }
    }

    /// Touches every page of a new file, 2 MiB at a time, and counts the page faults of this thread.
    static func touch(_ path: String, pieces: Int) throws -> Faults {
        let size = pieces * hugePage
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard file >= 0, posix_fallocate(file, 0, off_t(size)) == 0 else { throw Kernel.failure("allocate", path) }
        defer { close(file) }
        // Reserves more than needed, so that a range that starts at a multiple of 2 MiB lies within.
        let reserve = mmap(nil, size + hugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let reserve, reserve != MAP_FAILED else { throw Kernel.failure("reserve memory for", path) }
        defer { munmap(reserve, size + hugePage) }
        let start = reserve.alignedUp(toMultipleOf: hugePage)
        let protection = PROT_READ | PROT_WRITE
        guard mmap(start, size, protection, sharedValidate | sync | MAP_FIXED, file, 0) == start else {
            throw Kernel.failure("mmap with MAP_SYNC", path)
        }
        var faults = Faults(pieces: pieces)
        for piece in 0..<pieces {
            let before = minorFaults()
            for page in 0..<hugePage / 4096 {
                start.storeBytes(
                    of: UInt8(truncatingIfNeeded: page), toByteOffset: piece * hugePage + page * 4096, as: UInt8.self)
            }
            if minorFaults() - before < 64 { faults.huge += 1 }
        }
        return faults
    }

    private static func minorFaults() -> Int {
        var usage = rusage()
        getrusage(thisThread, &usage)
        return usage.ru_minflt + usage.ru_majflt
    }
}
