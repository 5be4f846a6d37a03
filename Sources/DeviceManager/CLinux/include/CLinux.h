#ifndef CLINUX_H
#define CLINUX_H

/// What Swift cannot import from the kernel's headers: ioctl numbers are macros with casts, and <linux/fs.h> in this
/// header would clash with glibc's <sys/mount.h>.
extern const unsigned long linux_BLKGETSIZE64, linux_BLKZEROOUT, linux_BLKROSET;
extern const unsigned long linux_FS_IOC_FSGETXATTR, linux_FS_IOC_FSSETXATTR;
extern const unsigned long linux_FIFREEZE, linux_FITHAW;
extern const int linux_AT_EMPTY_PATH;

/// struct fsxattr; linux.c checks the size.
struct linux_fsxattr {
    unsigned int xflags, extsize, nextents, projid, cowextsize;
    unsigned char padding[8];
};

#endif
