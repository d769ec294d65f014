//! A JSON file that can tell whether it is whole: format version, checksum, object. It touches no disk.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::model::text::hex;

/// The format of the files. A file with another number was written by a newer Evenkeel and is not interpreted.
const VERSION: u32 = 1;

/// What comes before the object. The object's own bytes are checked, so the header's form is fixed.
const OBJECT: &str = ",\"object\":";

/// What a file says about its object.
#[derive(Serialize, serde::Deserialize)]
struct Header {
    version: u32,
    checksum: String,
}

/// The text of a file for `object`, and its checksum. `subject` says what the file is about, so that one file cannot
/// take another one's place.
pub(super) fn seal(subject: &str, object: &impl Serialize) -> serde_json::Result<(String, Vec<u8>)> {
    seal_text(subject, serde_json::to_string(object)?)
}

/// The same with the object's fields on lines of their own, for a file that people read.
pub(super) fn seal_pretty(subject: &str, object: &impl Serialize) -> serde_json::Result<(String, Vec<u8>)> {
    seal_text(subject, serde_json::to_string_pretty(object)?)
}

fn seal_text(subject: &str, object: String) -> serde_json::Result<(String, Vec<u8>)> {
    let header = Header { version: VERSION, checksum: checksum(subject, &object) };
    let head = serde_json::to_string(&header)?;
    let head = head.strip_suffix('}').expect("a struct is a JSON object");
    Ok((header.checksum, format!("{head}{OBJECT}{object}}}\n").into_bytes()))
}

/// The object of a file and its checksum, or what is wrong with the file.
pub(super) fn open<T: DeserializeOwned>(subject: &str, bytes: &[u8]) -> Result<(String, T), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text")?;
    let (head, rest) = text.split_once(OBJECT).ok_or("it is not a file of this store, or only a part of one")?;
    let header: Header = serde_json::from_str(&format!("{head}}}")).map_err(|_| "its beginning is damaged")?;
    if header.version != VERSION {
        return Err(format!("its format is {}, this version of Evenkeel knows {VERSION}", header.version));
    }
    let object = rest.strip_suffix("}\n").ok_or("its end is missing")?;
    if header.checksum != checksum(subject, object) {
        return Err("its checksum does not match".into());
    }
    let object = serde_json::from_str(object).map_err(|error| format!("it cannot be understood: {error}"))?;
    Ok((header.checksum, object))
}

fn checksum(subject: &str, object: &str) -> String {
    let digest = Sha256::new().chain_update(subject).chain_update("\n").chain_update(object).finalize();
    hex(&digest, 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_json_with_version_and_checksum() {
        let (checksum, bytes) = seal("a", &vec![1, 2]).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, format!("{{\"version\":1,\"checksum\":\"{checksum}\",\"object\":[1,2]}}\n"));
        assert_eq!(open("a", text.as_bytes()), Ok((checksum, vec![1, 2])));
    }

    #[test]
    fn every_part_of_a_file_and_every_flipped_bit_is_noticed() {
        let (_, bytes) = seal("a", &"a text with ,\"object\": in it").unwrap();
        for length in 0..bytes.len() {
            assert!(open::<String>("a", &bytes[..length]).is_err(), "{length}");
        }
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(open::<String>("a", &flipped).is_err(), "bit {at}");
        }
    }

    #[test]
    fn a_file_does_not_pass_for_another_one() {
        let (_, bytes) = seal("a", &1).unwrap();
        assert_eq!(open::<u32>("b", &bytes), Err("its checksum does not match".into()));
    }

    #[test]
    fn a_newer_format_is_said_so() {
        let newer = b"{\"version\":2,\"checksum\":\"x\",\"object\":1}\n";
        assert_eq!(open::<u32>("a", newer), Err("its format is 2, this version of Evenkeel knows 1".into()));
    }
}
