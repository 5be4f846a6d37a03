#ifndef CLINUX_H
#define CLINUX_H

// mallopt and the numbers of prctl, which Swift's Glibc module lacks.
#include <malloc.h>
#include <sys/prctl.h>

/// What Swift cannot import from the kernel's headers: ioctl numbers are macros with casts, and <linux/fs.h> in this
/// header would clash with glibc's <sys/mount.h>.
extern const unsigned long linux_BLKGETSIZE64, linux_BLKZEROOUT, linux_BLKROSET;
extern const unsigned long linux_FS_IOC_FSGETXATTR, linux_FS_IOC_FSSETXATTR;
extern const unsigned long linux_FIFREEZE, linux_FITHAW;
extern const int linux_AT_EMPTY_PATH;

/// prctl(2) with one argument, since Swift imports no variadic function. Returns 0, or -1 and errno.
int linux_prctl(int option, unsigned long argument);

/// Unmaps the pages of code and constants, of the program and its libraries; what is needed again the kernel maps again
/// at its next use.
void linux_unmap_files(void);

/// struct fsxattr; linux.c checks the size.
struct linux_fsxattr {
    unsigned int xflags, extsize, nextents, projid, cowextsize;
    unsigned char padding[8];
};

/// Growing mounted file systems.
extern const unsigned long linux_EXT4_IOC_RESIZE_FS, linux_XFS_IOC_FSGEOMETRY_V1, linux_XFS_IOC_FSGROWFSDATA;

/// struct xfs_fsop_geom_v1.
struct linux_xfs_geometry {
    unsigned int blocksize, rtextsize, agblocks, agcount, logblocks, sectsize, inodesize, imaxpct;
    unsigned long long datablocks;
    unsigned char padding[72];
};

/// struct xfs_growfs_data.
struct linux_xfs_growth {
    unsigned long long newblocks;
    unsigned int imaxpct;
};

/// glibc shows these only with _GNU_SOURCE, which Swift's view of it lacks.
extern const int linux_O_DIRECT, linux_SEEK_DATA, linux_SEEK_HOLE, linux_F_SETLEASE, linux_F_SETSIG;
/// f_type of statfs(2), by which a kind of file system is known; 0 and errno when it cannot be told.
unsigned int linux_filesystem_type(const char *path);

int linux_fallocate(int file, int mode, long long offset, long long length);
extern const int linux_FALLOC_FL_KEEP_SIZE, linux_FALLOC_FL_UNSHARE_RANGE;

extern const unsigned long linux_FICLONE, linux_FICLONERANGE, linux_FS_IOC_FIEMAP;
extern const unsigned long linux_LOOP_CTL_GET_FREE, linux_LOOP_CONFIGURE, linux_LOOP_CLR_FD;
extern const unsigned long linux_LOOP_GET_STATUS64, linux_LOOP_SET_STATUS64, linux_LOOP_SET_CAPACITY;
extern const unsigned int linux_LO_FLAGS_AUTOCLEAR, linux_LO_FLAGS_DIRECT_IO;

/// struct file_clone_range.
struct linux_clone_range {
    long long source;
    unsigned long long source_offset, length, offset;
};

/// struct loop_info64.
struct linux_loop_info {
    unsigned long long device, inode, rdevice, offset, sizelimit;
    unsigned int number, encrypt_type, encrypt_key_size, flags;
    unsigned char file_name[64], crypt_name[64], encrypt_key[32];
    unsigned long long init[2];
};

/// struct loop_config.
struct linux_loop_config {
    unsigned int file, block_size;
    struct linux_loop_info info;
    unsigned long long reserved[8];
};

/// struct fiemap_extent.
struct linux_extent {
    unsigned long long logical, physical, length, reserved64[2];
    unsigned int flags, reserved[3];
};

/// struct fiemap, with room for some extents.
struct linux_extent_map {
    unsigned long long start, length;
    unsigned int flags, mapped, count, reserved;
    struct linux_extent extents[64];
};

#endif
