//! What static libraries consist of: they are made in the sandbox by `ar`, which is nobody's
//! subaction, of objects that were compiled by subactions.
//!
//! The format is the common one of ar(5), with GNU's and BSD's long names left as they are: members
//! are told by their content, not by their names.

use headstart_merkle::BlobDigest;

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;
/// Where in a member's header its size is, in decimal digits.
const SIZE: std::ops::Range<usize> = 48..58;

/// The contents of an archive's members; `None` if it is not a whole archive.
pub(crate) fn members(archive: &[u8]) -> Option<Vec<BlobDigest>> {
    let mut rest = archive.strip_prefix(MAGIC)?;
    let mut members = Vec::new();
    while !rest.is_empty() {
        let (header, after) = rest.split_at_checked(HEADER)?;
        let size = std::str::from_utf8(&header[SIZE]).ok()?;
        let size: usize = size.trim_end().parse().ok()?;
        let (content, after) = after.split_at_checked(size)?;
        // BSD puts a long name before the content, and counts it in.
        let name = std::str::from_utf8(&header[..16]).unwrap_or_default();
        let long = name.strip_prefix("#1/").map(str::trim_end);
        let long = long.and_then(|length| length.parse().ok()).unwrap_or(0);
        members.push(BlobDigest::of(content.get(long..)?));
        // Members begin at even places.
        rest = after.get(size % 2..).unwrap_or_default();
    }
    Some(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::archive;

    #[test]
    fn members_are_told_by_their_content() {
        let check = |contents: &[&str]| {
            let expected = contents.iter().map(|c| BlobDigest::of(c.as_bytes()));
            let members = members(&archive(contents)).unwrap();
            assert_eq!(members, expected.collect::<Vec<_>>());
        };
        check(&[]);
        check(&["odd", "even", "", "x"]);
        let header = format!("{:<16}{:32}{:<10}`\n", "#1/4", "", 7);
        let bsd = [MAGIC, header.as_bytes(), b"nameabc\n"];
        assert_eq!(members(&bsd.concat()), Some(vec![BlobDigest::of(b"abc")]));
    }

    #[test]
    fn what_is_no_archive_has_no_members() {
        let whole = archive(&["content"]);
        for end in 0..whole.len() {
            let cut = members(&whole[..end]);
            // What lacks only the padding is whole.
            assert!(
                end == MAGIC.len() || end + 1 == whole.len() || cut.is_none(),
                "{end}"
            );
        }
        assert_eq!(members(b"!<thin>\n"), None);
    }
}
