//! How much memory the process takes, as Linux tells; other systems tell nothing.

/// Bytes of resident memory.
pub fn resident() -> Option<u64> {
    field(&status()?, "VmRSS:")
}

/// Bytes of memory that only the process's end, or the process itself, can free: pages of files are not among them.
pub fn used() -> Option<u64> {
    let status = status()?;
    field(&status, "RssAnon:").or_else(|| field(&status, "VmRSS:"))
}

fn status() -> Option<String> {
    std::fs::read_to_string("/proc/self/status").ok()
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_takes_some_memory() {
        let (used, resident) = (used().unwrap(), resident().unwrap());
        assert!((1 << 19..1 << 40).contains(&used), "{used}");
        assert!((1 << 20..1 << 40).contains(&resident), "{resident}");
    }

    #[test]
    fn what_is_not_told_is_not_known() {
        let status = "Name:\tlevada\nVmRSS:\t    2228 kB\n";
        assert_eq!(field(status, "VmRSS:"), Some(2228 << 10));
        assert_eq!(field(status, "RssAnon:"), None);
    }
}
