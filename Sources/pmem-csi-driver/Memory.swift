import CLinux
import NIOCore

/// What the process does to stay small: a driver idles next to the workloads whose memory it must not take.
enum Memory {
    /// Called once, before the first thread that it would bind.
    static func keepSmall() {
        // No more heaps than there are by now; each of up to eight per core would keep what its busiest moment needed.
        mallopt(M_ARENA_MAX, 1)
        // Fixed, since glibc raises both when a large buffer is freed: those of erasing go back to the kernel each time.
        mallopt(M_MMAP_THRESHOLD, 128 << 10)
        mallopt(M_TRIM_THRESHOLD, 128 << 10)
        // Where huge pages are on for everything, the first touch of a thread's stack would take 2 MiB. A kernel
        // without them refuses, which is as good; programs that the driver starts inherit it, and do not mind.
        linux_prctl(PR_SET_THP_DISABLE, 1)
        // Calls run as Swift tasks; these threads only move bytes. The default is one per core, many on large machines.
        NIOSingletons.groupLoopCountSuggestion = 2
        NIOSingletons.blockingPoolThreadCountSuggestion = 2
    }

    /// Gives back the code that only the start needed, a third of what is mapped by then.
    static func forgetStart() {
        linux_unmap_code()
    }
}
