//! NPY: the format of `numpy.save` (NumPy Enhancement Proposal 1, versions 1.0 to 3.0).
//!
//! The header is a Python dictionary, and this reads the three keys it must have and nothing else
//! of Python: a general parser would recurse as deep as a hostile header asks.

use super::{
    DataFault,
    array::{Element, Endian, N_AXES_MAX, RawArray},
    input::Input,
};

/// The longest header: NumPy refuses to load one above 10,000 bytes (`max_header_size`).
const HEADER_MAX_BYTES: u64 = 10_000;

/// Reads an NPY file whole.
pub(super) fn read(input: &mut Input) -> Result<RawArray<'static>, DataFault> {
    let text = read_header_text(input)?;
    let header = Header::parse(&text)?;
    if header.fortran_order {
        return Err(DataFault::FortranOrder);
    }
    let (element, endian) = element_of(&header.descr)?;
    RawArray::read(&header.shape, element, endian, input)
}

fn read_header_text(input: &mut Input) -> Result<String, DataFault> {
    let found = input.read_up_to(8)?;
    let major = match found[..] {
        [] => return Err(DataFault::Empty),
        [0x93, b'N', b'U', b'M', b'P', b'Y', major, _] => major,
        _ => {
            let expected = "93 4e 55 4d 50 59 and a version";
            return Err(DataFault::BadMagic { format: "an NPY file begins", expected, found });
        }
    };
    let len_of_len = match major {
        1 => 2,
        2 | 3 => 4,
        _ => return Err(bad(format!("version {major} of the format is not known"))),
    };
    let mut len = input.read_up_to(len_of_len)?;
    if (len.len() as u64) < len_of_len {
        return Err(bad("it ends within the length of the header"));
    }
    len.resize(8, 0);
    let len_bytes = len.iter().rev().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    if HEADER_MAX_BYTES < len_bytes {
        return Err(bad(format!("it is said to take {len_bytes} bytes")));
    }
    let text = input.read_up_to(len_bytes)?;
    if (text.len() as u64) < len_bytes {
        return Err(bad(format!("it ends after {} of {len_bytes} bytes", text.len())));
    }
    String::from_utf8(text).map_err(|_| bad("it is not text"))
}

/// The element type of a dtype string such as `<f4`.
fn element_of(descr: &str) -> Result<(Element, Endian), DataFault> {
    let unsupported = || DataFault::UnsupportedElement {
        found: format!("{descr:?}"),
        supported: "f2, f4, f8, i1 to i8, u1 to u8 or bool",
    };
    let (endian, kind) = match descr.split_at_checked(1).ok_or_else(unsupported)? {
        ("<" | "|" | "=", kind) => (Endian::Little, kind),
        (">", kind) => (Endian::Big, kind),
        _ => return Err(unsupported()),
    };
    let element = match kind {
        "u1" | "b1" => Element::U8,
        "i1" => Element::I8,
        "u2" => Element::U16,
        "i2" => Element::I16,
        "u4" => Element::U32,
        "i4" => Element::I32,
        "u8" => Element::U64,
        "i8" => Element::I64,
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        _ => return Err(unsupported()),
    };
    Ok((element, endian))
}

/// What the dictionary says, as written.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<u64>,
}

impl Header {
    fn parse(text: &str) -> Result<Self, DataFault> {
        let mut rest = Cursor(text);
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        rest.expect("{")?;
        while !rest.skip("}") {
            let key = rest.string()?;
            rest.expect(":")?;
            match key {
                "descr" => descr = Some(rest.descr()?.to_owned()),
                "fortran_order" => fortran_order = Some(rest.boolean()?),
                "shape" => shape = Some(rest.tuple()?),
                _ => return Err(bad(format!("the key {key:?} is not known"))),
            }
            if !rest.skip(",") {
                rest.expect("}")?;
                break;
            }
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => {
                Ok(Self { descr, fortran_order, shape })
            }
            _ => Err(bad("it lacks one of `descr`, `fortran_order` and `shape`")),
        }
    }
}

/// What is left of the header.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip(&mut self, token: &str) -> bool {
        let rest = self.0.trim_start();
        let after = rest.strip_prefix(token);
        self.0 = after.unwrap_or(rest);
        after.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), DataFault> {
        if self.skip(token) {
            return Ok(());
        }
        let found: String = self.0.chars().take(20).collect();
        Err(bad(format!("`{token}` is missing before {found:?}")))
    }

    fn string(&mut self) -> Result<&'a str, DataFault> {
        let quote = if self.skip("\"") { "\"" } else { "'" };
        if quote == "'" {
            self.expect("'")?;
        }
        let (string, rest) = self.0.split_once(quote).ok_or_else(|| bad("a string has no end"))?;
        self.0 = rest;
        Ok(string)
    }

    /// A dtype string; a list, which describes a record, is not one.
    fn descr(&mut self) -> Result<&'a str, DataFault> {
        if self.skip("[") {
            let (found, supported) = ("a record".to_owned(), "one number an element");
            return Err(DataFault::UnsupportedElement { found, supported });
        }
        self.string()
    }

    fn boolean(&mut self) -> Result<bool, DataFault> {
        if self.skip("True") {
            return Ok(true);
        }
        self.expect("False").map(|()| false)
    }

    fn tuple(&mut self) -> Result<Vec<u64>, DataFault> {
        self.expect("(")?;
        let mut axes = Vec::new();
        while !self.skip(")") {
            if axes.len() == N_AXES_MAX {
                return Err(bad(format!("its shape has more than {N_AXES_MAX} axes")));
            }
            axes.push(self.number()?);
            if !self.skip(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(axes)
    }

    fn number(&mut self) -> Result<u64, DataFault> {
        let text = self.0.trim_start();
        let len = text.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = text.split_at(len);
        self.0 = rest;
        digits.parse().map_err(|_| bad("an axis of its shape is not a whole number below 2^64"))
    }
}

fn bad(reason: impl Into<String>) -> DataFault {
    DataFault::BadHeader { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_are_read_as_numpy_writes_them() {
        let header = |descr: &str, fortran_order, shape: &[u64]| Header {
            descr: descr.into(),
            fortran_order,
            shape: shape.into(),
        };
        let parse = |text| Header::parse(text).expect("valid");
        assert_eq!(
            parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }       \n"),
            header("<f4", false, &[3, 2])
        );
        assert_eq!(
            parse("{\"shape\":(7,),\"fortran_order\":True,\"descr\":\"|u1\"}"),
            header("|u1", true, &[7])
        );
        assert_eq!(parse("{'descr': '>i8', 'fortran_order': False, 'shape': ()}").shape, [0; 0]);
    }

    #[test]
    fn damaged_headers_are_refused() {
        for text in [
            "",
            "{",
            "{'descr'",
            "{'descr': '<f4', 'fortran_order': False}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, -2)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2",
            "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
            "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
        ] {
            assert!(matches!(Header::parse(text), Err(DataFault::BadHeader { .. })), "{text}");
        }
        let deep = format!("{{'shape': {}", "(".repeat(9_000));
        assert!(Header::parse(&deep).is_err());
    }

    proptest! {
        #[test]
        fn no_header_panics(text in "[\\[\\]{}(),:' <>|a-z0-9TF\u{e9}]{0,80}") {
            let _ = Header::parse(&text);
            let _ = element_of(&text);
        }
    }
}
