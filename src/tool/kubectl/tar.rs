//! Tar archives (ustar), as far as `kubectl cp` needs them: regular files and folders.

const BLOCK: usize = 512;

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path, without a leading slash.
    pub path: String,
    /// Content; `None` for a folder.
    pub content: Option<Vec<u8>>,
}

/// An archive of the entries.
pub fn write(entries: &[Entry]) -> Vec<u8> {
    let mut archive = Vec::new();
    for entry in entries {
        let content = entry.content.as_deref().unwrap_or_default();
        archive.extend(header(entry, content.len()));
        archive.extend(content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

fn header(entry: &Entry, size: usize) -> Vec<u8> {
    let mut block = vec![0u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8], width: usize| {
        for (slot, byte) in block.iter_mut().skip(at).take(width).zip(bytes) {
            *slot = *byte;
        }
    };
    // A long path goes into name (100 bytes) and prefix (155 bytes), divided at a slash.
    let split =
        if entry.path.len() <= 100 { None } else { entry.path.char_indices().find(|(at, c)| *c == '/' && entry.path.len() - at <= 101) };
    let (prefix, name) = split.map_or(("", entry.path.as_str()), |(at, _)| (&entry.path[..at], &entry.path[at + 1..]));
    put(0, name.as_bytes(), 100);
    let (mode, kind) = if entry.content.is_some() { ("0000644", b"0") } else { ("0000755", b"5") };
    put(100, mode.as_bytes(), 8);
    put(108, b"0000000", 8);
    put(116, b"0000000", 8);
    put(124, format!("{size:011o}").as_bytes(), 12);
    put(136, b"00000000000", 12);
    put(148, b"        ", 8);
    put(156, kind, 1);
    put(257, b"ustar\x0000", 8);
    put(345, prefix.as_bytes(), 155);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    for (slot, byte) in block.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *slot = byte;
    }
    block
}

/// The entries of an archive; `None` when it is cut off or no archive.
pub fn read(archive: &[u8]) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut rest = archive;
    while rest.len() >= BLOCK {
        let (block, after) = rest.split_at(BLOCK);
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        let text = |at: usize, width: usize| {
            let field = block.get(at..at + width).unwrap_or_default();
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(width);
            String::from_utf8_lossy(&field[..end]).into_owned()
        };
        let size = usize::from_str_radix(text(124, 12).trim(), 8).ok()?;
        let content = after.get(..size)?;
        let prefix = text(345, 155);
        let path = if prefix.is_empty() { text(0, 100) } else { format!("{prefix}/{}", text(0, 100)) };
        match block.get(156) {
            Some(b'0' | 0) => entries.push(Entry { path, content: Some(content.to_vec()) }),
            Some(b'5') => entries.push(Entry { path, content: None }),
            _ => {}
        }
        rest = after.get(size.next_multiple_of(BLOCK)..).unwrap_or_default();
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let long = format!("{}/file", "folder/".repeat(20).trim_end_matches('/'));
        let entries = vec![
            Entry { path: "a".into(), content: None },
            Entry { path: "a/b".into(), content: Some(b"hello".to_vec()) },
            Entry { path: long, content: Some(vec![7; 600]) },
        ];
        assert_eq!(read(&write(&entries)), Some(entries));
        assert_eq!(read(b"short"), Some(Vec::new()));
        assert_eq!(read(&write(&[Entry { path: "a".into(), content: Some(vec![1; 900]) }])[..1024]), None);
    }
}
