// O_DIRECT and its like.
#define _GNU_SOURCE
#include "CLinux.h"
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/types.h>
#include <link.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

const unsigned long linux_BLKGETSIZE64 = BLKGETSIZE64, linux_BLKZEROOUT = BLKZEROOUT, linux_BLKROSET = BLKROSET;
const unsigned long linux_FS_IOC_FSGETXATTR = FS_IOC_FSGETXATTR, linux_FS_IOC_FSSETXATTR = FS_IOC_FSSETXATTR;
const unsigned long linux_FIFREEZE = FIFREEZE, linux_FITHAW = FITHAW;
const int linux_AT_EMPTY_PATH = AT_EMPTY_PATH;

int linux_prctl(int option, unsigned long argument) {
    return prctl(option, argument, 0, 0, 0);
}

static int unmap_file(struct dl_phdr_info *info, size_t size, void *page_size) {
    (void)size;
    unsigned long mask = *(unsigned long *)page_size - 1;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        // What is writable has relocations, which the file has not.
        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W) continue;
        unsigned long start = (info->dlpi_addr + segment->p_vaddr) & ~mask;
        madvise((void *)start, info->dlpi_addr + segment->p_vaddr + segment->p_memsz - start, MADV_DONTNEED);
    }
    return 0;
}

void linux_unmap_files(void) {
    unsigned long page_size = (unsigned long)sysconf(_SC_PAGESIZE);
    dl_iterate_phdr(unmap_file, &page_size);
}

_Static_assert(sizeof(struct linux_fsxattr) == sizeof(struct fsxattr), "struct fsxattr");

// The headers of ext4 and xfs are not among those of every distribution; the numbers are part of the kernel's ABI.
const unsigned long linux_EXT4_IOC_RESIZE_FS = _IOW('f', 16, __u64);
const unsigned long linux_XFS_IOC_FSGEOMETRY_V1 = _IOR('X', 100, struct linux_xfs_geometry);
const unsigned long linux_XFS_IOC_FSGROWFSDATA = _IOW('X', 110, struct linux_xfs_growth);
_Static_assert(sizeof(struct linux_xfs_geometry) == 112, "struct xfs_fsop_geom_v1");
_Static_assert(offsetof(struct linux_xfs_geometry, datablocks) == 32, "struct xfs_fsop_geom_v1");
_Static_assert(sizeof(struct linux_xfs_growth) == 16, "struct xfs_growfs_data");

const int linux_O_DIRECT = O_DIRECT, linux_SEEK_DATA = SEEK_DATA, linux_SEEK_HOLE = SEEK_HOLE;
const int linux_F_SETLEASE = F_SETLEASE, linux_F_SETSIG = F_SETSIG;
const int linux_FALLOC_FL_KEEP_SIZE = FALLOC_FL_KEEP_SIZE, linux_FALLOC_FL_UNSHARE_RANGE = FALLOC_FL_UNSHARE_RANGE;

unsigned int linux_filesystem_type(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 ? (unsigned int)status.f_type : 0;
}

int linux_fallocate(int file, int mode, long long offset, long long length) {
    return fallocate(file, mode, offset, length);
}

const unsigned long linux_FICLONE = FICLONE, linux_FICLONERANGE = FICLONERANGE, linux_FS_IOC_FIEMAP = FS_IOC_FIEMAP;
const unsigned long linux_LOOP_CTL_GET_FREE = LOOP_CTL_GET_FREE, linux_LOOP_CONFIGURE = LOOP_CONFIGURE;
const unsigned long linux_LOOP_CLR_FD = LOOP_CLR_FD, linux_LOOP_SET_CAPACITY = LOOP_SET_CAPACITY;
const unsigned long linux_LOOP_GET_STATUS64 = LOOP_GET_STATUS64, linux_LOOP_SET_STATUS64 = LOOP_SET_STATUS64;
const unsigned int linux_LO_FLAGS_AUTOCLEAR = LO_FLAGS_AUTOCLEAR, linux_LO_FLAGS_DIRECT_IO = LO_FLAGS_DIRECT_IO;

_Static_assert(sizeof(struct linux_clone_range) == sizeof(struct file_clone_range), "struct file_clone_range");
_Static_assert(sizeof(struct linux_loop_config) == sizeof(struct loop_config), "struct loop_config");
_Static_assert(offsetof(struct linux_loop_config, info) == offsetof(struct loop_config, info), "struct loop_config");
_Static_assert(offsetof(struct linux_loop_info, flags) == offsetof(struct loop_info64, lo_flags), "struct loop_info64");
_Static_assert(sizeof(struct linux_extent) == sizeof(struct fiemap_extent), "struct fiemap_extent");
_Static_assert(offsetof(struct linux_extent, flags) == offsetof(struct fiemap_extent, fe_flags), "struct fiemap_extent");
_Static_assert(offsetof(struct linux_extent_map, extents) == offsetof(struct fiemap, fm_extents), "struct fiemap");
