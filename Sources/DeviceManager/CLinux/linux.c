#include "CLinux.h"
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <stddef.h>

const unsigned long linux_BLKGETSIZE64 = BLKGETSIZE64, linux_BLKZEROOUT = BLKZEROOUT, linux_BLKROSET = BLKROSET;
const unsigned long linux_FS_IOC_FSGETXATTR = FS_IOC_FSGETXATTR, linux_FS_IOC_FSSETXATTR = FS_IOC_FSSETXATTR;
const unsigned long linux_FIFREEZE = FIFREEZE, linux_FITHAW = FITHAW;
const int linux_AT_EMPTY_PATH = AT_EMPTY_PATH;

_Static_assert(sizeof(struct linux_fsxattr) == sizeof(struct fsxattr), "struct fsxattr");
