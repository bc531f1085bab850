//! Messages whole, cut and garbled.

use super::*;

const TAGS: &[u8] = b"QPBDECHSdcfFX";

fn code(tag: u8, body: &'static [u8]) -> &'static str {
    decode(tag, Bytes::from_static(body)).unwrap_err().sqlstate().code()
}

#[test]
fn messages_are_read_whole() {
    let parse = decode(b'P', Bytes::from_static(b"s\0SELECT $1\0\0\x01\0\0\0\x17")).unwrap();
    let expected = Message::Parse { statement: "s".to_owned(), sql: "SELECT $1".to_owned(), parameter_types: vec![23] };
    assert_eq!(parse, expected);

    let bind = decode(b'B', Bytes::from_static(b"\0s\0\0\x01\0\x01\0\x02\xff\xff\xff\xff\0\0\0\x02ab\0\0")).unwrap();
    let expected = Bind {
        portal: String::new(),
        statement: "s".to_owned(),
        parameter_formats: vec![Format::Binary],
        parameters: vec![None, Some(Bytes::from_static(b"ab"))],
        result_formats: vec![],
    };
    assert_eq!(bind, Message::Bind(expected));

    let execute = |rows: &'static [u8]| decode(b'E', Bytes::from_static(rows)).unwrap();
    assert_eq!(execute(b"p\0\0\0\0\x05"), Message::Execute { portal: "p".to_owned(), max_rows: Some(5) });
    assert_eq!(execute(b"p\0\0\0\0\0"), Message::Execute { portal: "p".to_owned(), max_rows: None });
    assert_eq!(execute(b"p\0\xff\xff\xff\xff"), Message::Execute { portal: "p".to_owned(), max_rows: None });
    assert_eq!(decode(b'C', Bytes::from_static(b"Pp\0")).unwrap(), Message::Close(Target::Portal("p".to_owned())));
}

#[test]
fn what_does_not_fit_its_tag_is_refused() {
    assert_eq!(code(b'Q', b"SELECT 1"), "08P01");
    assert_eq!(code(b'Q', b"SELECT 1\0more"), "08P01");
    assert_eq!(code(b'Q', b"\xff\xfe\0"), "22021");
    assert_eq!(code(b'S', b"x"), "08P01");
    assert_eq!(code(b'D', b"Xname\0"), "08P01");
    assert_eq!(code(b'P', b"\0\0\xff\xff\0\0"), "08P01");
    assert_eq!(code(b'B', b"\0\0\0\x01\0\x07\0\0\0\0"), "22023");
    assert_eq!(code(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"), "08P01");
    assert_eq!(code(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0"), "08P01");
    assert_eq!(code(b'!', b""), "08P01");
}

/// Every prefix of a good message, and a few thousand strings of noise, give a message or an error.
#[test]
fn nothing_panics() {
    let whole = b"\0s\0\0\x01\0\x01\0\x02\xff\xff\xff\xff\0\0\0\x02ab\0\0";
    for tag in TAGS {
        for end in 0..whole.len() {
            let _ = decode(*tag, Bytes::copy_from_slice(&whole[..end]));
        }
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..20_000 {
        let noise: Vec<u8> = (0..round % 40)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                // Many zeros: they end strings and make small counts.
                if state & 1 == 0 { 0 } else { (state >> 32) as u8 }
            })
            .collect();
        let _ = decode(TAGS[round % TAGS.len()], noise.into());
    }
}
