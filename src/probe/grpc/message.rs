//! The two messages of gRPC's health service. Each has one field, so they are written and read here by hand: see
//! <https://protobuf.dev/programming-guides/encoding/>. It speaks with nobody.

use hyper::body::Bytes;

/// The number of the field in both messages: the service in the question, the status in the answer.
const FIELD: u64 = 1;
/// The flag and the length before a message.
const PREFIX: usize = 5;
/// The flag of a message that is not compressed.
const PLAIN: u8 = 0;
/// The ways in which protobuf writes a value, the last three bits of its tag.
const VARINT: u8 = 0;
const EIGHT: u8 = 1;
const LENGTH: u8 = 2;
const FOUR: u8 = 5;

/// A HealthCheckRequest with the frame around it. The service is left out when it is empty.
pub(super) fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        push_varint(&mut message, FIELD << 3 | u64::from(LENGTH));
        push_varint(&mut message, service.len() as u64);
        message.extend(service.as_bytes());
    }
    let length = u32::try_from(message.len()).expect("a manifest is smaller than 4 GiB");
    let mut framed = vec![PLAIN];
    framed.extend(length.to_be_bytes());
    framed.extend(message);
    framed.into()
}

/// The status in a HealthCheckResponse with the frame around it, left out when it is 0. None if it is no such message.
pub(super) fn status(framed: &[u8]) -> Option<u64> {
    let (prefix, message) = framed.split_first_chunk::<PREFIX>()?;
    let [flag, length @ ..] = prefix;
    // A compressed one (1) was not asked for.
    if *flag != PLAIN || u32::try_from(message.len()) != Ok(u32::from_be_bytes(*length)) {
        return None;
    }
    let mut rest = message;
    let mut status = 0;
    while !rest.is_empty() {
        let tag = take_varint(&mut rest)?;
        let value = take_value(&mut rest, tag)?;
        if tag >> 3 == FIELD {
            status = value?;
        }
    }
    Some(status)
}

/// Takes a field's value away: its number if it is one, nothing if it is something else of a known length.
fn take_value(rest: &mut &[u8], tag: u64) -> Option<Option<u64>> {
    let skip = match u8::try_from(tag & 7).ok()? {
        VARINT => return take_varint(rest).map(Some),
        EIGHT => 8,
        FOUR => 4,
        LENGTH => usize::try_from(take_varint(rest)?).ok()?,
        _ => return None,
    };
    *rest = rest.get(skip..)?;
    Some(None)
}

/// Takes a number away that is written in groups of seven bits, the lowest first.
fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for group in 0..10 {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= u64::from(byte & 0x7f) << (7 * group);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut framed = vec![0, 0, 0, 0, message.len() as u8];
        framed.extend(message);
        framed
    }

    #[test]
    fn a_question_is_what_the_protocol_says() {
        assert_eq!(question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(question("db")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'd', b'b']);
        let long = question(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 0x2f, 0x0a, 0xac, 2]);
        assert_eq!(long.len(), PREFIX + 3 + 300);
    }

    #[test]
    fn an_answers_status_is_found_beside_fields_that_nobody_here_knows() {
        assert_eq!(status(&framed(&[])), Some(0), "0 is left out");
        assert_eq!(status(&framed(&[0x08, 1])), Some(1));
        assert_eq!(status(&framed(&[0x08, 2, 0x08, 1])), Some(1), "the last one counts");
        assert_eq!(
            status(&framed(&[0x12, 2, b'h', b'i', 0x08, 0xac, 2, 0x1d, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 0])),
            Some(300)
        );
    }

    #[test]
    fn what_is_no_such_message_is_none() {
        for wrong in [
            &[][..],
            &[0, 0, 0, 0],
            // Compressed; shorter and longer than it says.
            &[1, 0, 0, 0, 2, 0x08, 1],
            &[0, 0, 0, 0, 3, 0x08, 1],
            &[0, 0, 0, 0, 1, 0x08, 1],
            // A field that breaks off, a length beyond the end, a group, a status that is a text, a number without an end.
            &framed(&[0x08]),
            &framed(&[0x12, 9, 0]),
            &framed(&[0x0b]),
            &framed(&[0x0a, 1, b'x']),
            &framed(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            assert_eq!(status(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(message in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = status(&message);
            let _ = status(&framed(&message));
        }
    }
}
