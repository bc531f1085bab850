//! How much memory there is for the process.

use std::fs;
use std::path::Path;

/// Bytes of memory that the process can have: what its control groups (version 2 or 1) allow, at most the machine's. None on
/// systems other than Linux.
///
/// Described in [cgroups(7)](https://man7.org/linux/man-pages/man7/cgroups.7.html).
pub fn available_memory() -> Option<u64> {
    available_under(Path::new("/"))
}

fn available_under(root: &Path) -> Option<u64> {
    let limits = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let allowed = limits.lines().filter_map(|line| allowed_by(root, line)).min();
    allowed.into_iter().chain(machine(root)).min()
}

/// What a line of `/proc/self/cgroup`, `number:controllers:path`, stands for.
fn allowed_by(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let (top, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        named if named.split(',').any(|name| name == "memory") => ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return None,
    };
    // A group has at most what those around it have. In a container the path may be the host's, and lead nowhere: what is
    // mounted at the top is the container's then.
    let groups = Path::new(path.trim_start_matches('/')).ancestors();
    groups.filter_map(|group| bytes(&root.join(top).join(group).join(file))).min()
}

/// The number in a file; None for "max", and when there is no such file.
fn bytes(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn machine(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       24684084 kB\nMemFree:  1 kB\n");
    const MACHINE: u64 = 24_684_084 << 10;

    fn available(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        available_under(root.path())
    }

    #[test]
    fn without_groups_it_is_the_machines() {
        assert_eq!(available(&[]), None);
        assert_eq!(available(&[MEMINFO]), Some(MACHINE));
        assert!(available_memory().is_none_or(|bytes| bytes > 1 << 26));
    }

    #[test]
    fn groups_of_version_2() {
        let group = ("proc/self/cgroup", "0::/a/b\n");
        let unlimited = ("sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(available(&[MEMINFO, group, unlimited]), Some(MACHINE));
        let around = ("sys/fs/cgroup/a/memory.max", "4096000\n");
        assert_eq!(available(&[MEMINFO, group, unlimited, around]), Some(4_096_000));
        let container = ("sys/fs/cgroup/memory.max", "2048000\n");
        assert_eq!(available(&[MEMINFO, ("proc/self/cgroup", "0::/\n"), container]), Some(2_048_000));
        assert_eq!(available(&[MEMINFO, group, container]), Some(2_048_000));
    }

    #[test]
    fn groups_of_version_1() {
        let groups = ("proc/self/cgroup", "9:name=systemd:/\n4:hugetlb,memory:/docker/x\n1:cpu:/\n0::/\n");
        let top = "sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(available(&[MEMINFO, groups, (top, "9223372036854771712\n")]), Some(MACHINE));
        assert_eq!(available(&[MEMINFO, groups, (top, "1024000\n")]), Some(1_024_000));
        let own = ("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "512000\n");
        assert_eq!(available(&[MEMINFO, groups, (top, "1024000\n"), own]), Some(512_000));
    }
}
