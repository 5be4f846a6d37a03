import CLinux
import NIOCore
import ServiceLifecycle

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
}

/// Gives back the mapped code and constants that are not in use: right after the start, which needs half of them once, and
/// then each minute. What calls do need costs them some hundred page faults on pages that the kernel still has, below a
/// millisecond.
struct CodeTrimming: Service {
    func run() async throws {
        await cancelWhenGracefulShutdown {
            var pause = Duration.seconds(1)
            while (try? await Task.sleep(for: pause)) != nil {
                linux_unmap_files()
                pause = .seconds(60)
            }
        }
    }
}
