#include <libdevmapper.h>
#include <sys/sysmacros.h>

// Swift cannot write a C variadic function, and libdevmapper's own logging goes to stderr behind our log's back.
static inline void pmem_dm_no_log(int level, const char *file, int line, int code, const char *format, ...) {}
static inline void pmem_dm_silence(void) { dm_log_with_errno_init(pmem_dm_no_log); }
static inline dev_t pmem_dm_device(unsigned int major, unsigned int minor) { return makedev(major, minor); }
