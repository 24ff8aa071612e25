//! Takes a `multipart/form-data` body apart byte by byte (RFC 7578, RFC 2046 section 5.1).
//!
//! Strict on purpose: whatever a lenient server would forgive is an error here, so that a sloppy
//! sender is found by the tests and not by a customer.

/// One part of a form: what its headers say, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The field's name.
    pub name: String,
    /// The file's name, when the part has one.
    pub file_name: Option<String>,
    /// The part's `Content-Type`, when it has one.
    pub content_type: Option<String>,
    /// Exactly the bytes between the part's blank line and the next boundary.
    pub bytes: Vec<u8>,
}

/// Splits `body` into its parts; the error says what is malformed and at which byte.
pub(super) fn parse(content_type: &str, body: &[u8]) -> Result<Vec<Part>, String> {
    let delimiter = format!("--{}", boundary(content_type)?).into_bytes();
    let mut at = expect(body, 0, &delimiter, "the first boundary")?;
    let mut parts = Vec::new();
    loop {
        if body[at..].starts_with(b"--") {
            let rest = &body[at + 2..];
            if rest.is_empty() || rest == b"\r\n" {
                return Ok(parts);
            }
            return Err(format!(
                "{} stray bytes after the last boundary",
                rest.len()
            ));
        }
        at = expect(body, at, b"\r\n", "a line end after the boundary")?;
        let head = find(body, at, b"\r\n\r\n").ok_or(format!("no blank line after byte {at}"))?;
        let start = head + 4;
        let close = [b"\r\n", delimiter.as_slice()].concat();
        let end = find(body, start, &close).ok_or(format!("no boundary after byte {start}"))?;
        parts.push(part(&body[at..head], body[start..end].to_vec())?);
        at = end + close.len();
    }
}

fn boundary(content_type: &str) -> Result<String, String> {
    let mut pieces = content_type.split(';').map(str::trim);
    if !pieces
        .next()
        .unwrap_or("")
        .eq_ignore_ascii_case("multipart/form-data")
    {
        return Err(format!(
            "the content type is {content_type:?}, not multipart/form-data"
        ));
    }
    let found = pieces.find_map(|piece| piece.strip_prefix("boundary="));
    let boundary = found
        .ok_or("the content type names no boundary")?
        .trim_matches('"');
    if boundary.is_empty() || boundary.len() > 70 {
        return Err(format!(
            "a boundary has 1 to 70 characters, this one {}",
            boundary.len()
        ));
    }
    Ok(boundary.to_owned())
}

fn part(head: &[u8], bytes: Vec<u8>) -> Result<Part, String> {
    let head = str::from_utf8(head).map_err(|_| "part headers that are not UTF-8")?;
    let mut part = Part {
        name: String::new(),
        file_name: None,
        content_type: None,
        bytes,
    };
    let mut named = false;
    for line in head.split("\r\n") {
        let (key, value) = line
            .split_once(':')
            .ok_or(format!("a part header {line:?}"))?;
        match key.to_ascii_lowercase().as_str() {
            "content-disposition" => {
                named = true;
                disposition(value.trim(), &mut part)?;
            }
            "content-type" => part.content_type = Some(value.trim().to_owned()),
            "content-length" | "content-transfer-encoding" => {}
            other => return Err(format!("a part header named {other:?}")),
        }
    }
    if named {
        Ok(part)
    } else {
        Err("a part without Content-Disposition".to_owned())
    }
}

fn disposition(value: &str, part: &mut Part) -> Result<(), String> {
    let rest = value
        .strip_prefix("form-data")
        .ok_or(format!("a disposition {value:?}"))?;
    for (key, value) in parameters(rest)? {
        match key.as_str() {
            "name" => part.name = value,
            "filename" => part.file_name = Some(value),
            other => return Err(format!("a disposition parameter {other:?}")),
        }
    }
    if part.name.is_empty() {
        Err("a part without a name".to_owned())
    } else {
        Ok(())
    }
}

/// Reads `; key="value"` pairs. Values are quoted strings; RFC 7578 forbids the `filename*` form.
fn parameters(mut rest: &str) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    while !rest.trim().is_empty() {
        let malformed = || format!("disposition parameters {rest:?}");
        let (key, after) = rest
            .trim_start()
            .strip_prefix(';')
            .and_then(|pair| pair.split_once("=\""))
            .ok_or_else(malformed)?;
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next().ok_or_else(malformed)? {
                (at, '"') => break at,
                (_, '\\') => value.push(characters.next().ok_or_else(malformed)?.1),
                (_, character) => value.push(character),
            }
        };
        found.push((key.trim().to_owned(), value));
        rest = &after[end + 1..];
    }
    Ok(found)
}

fn expect(body: &[u8], at: usize, wanted: &[u8], what: &str) -> Result<usize, String> {
    if body[at..].starts_with(wanted) {
        Ok(at + wanted.len())
    } else {
        Err(format!("no {what} at byte {at}"))
    }
}

fn find(body: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    // The first byte of every needle is rare enough in audio to make this fast without a crate.
    let first = wanted[0];
    let mut at = from;
    while let Some(step) = body.get(at..)?.iter().position(|byte| *byte == first) {
        if body[at + step..].starts_with(wanted) {
            return Some(at + step);
        }
        at += step + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=xyz";

    #[test]
    fn a_form_comes_apart_into_exactly_its_bytes() {
        let body = b"--xyz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nWizper\r\n\
            --xyz\r\nContent-Disposition: form-data; name=\"audio\"; filename=\"a.mp3\"\r\n\
            Content-Type: audio/mpeg\r\n\r\n\r\n--xy\x00\r\n\r\n--xyz--\r\n";
        let parts = parse(TYPE, body).unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!(
            (parts[0].name.as_str(), parts[0].bytes.as_slice()),
            ("model", &b"Wizper"[..])
        );
        assert_eq!(parts[1].file_name.as_deref(), Some("a.mp3"));
        assert_eq!(parts[1].content_type.as_deref(), Some("audio/mpeg"));
        assert_eq!(parts[1].bytes, b"\r\n--xy\x00\r\n");
    }

    #[test]
    fn a_form_cut_short_anywhere_is_refused() {
        let body =
            b"--xyz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nWizper\r\n--xyz--";
        assert!(parse(TYPE, body).is_ok());
        for length in 0..body.len() {
            assert!(
                parse(TYPE, &body[..length]).is_err(),
                "{length} bytes were accepted"
            );
        }
    }

    #[test]
    fn a_quote_in_a_file_name_is_unescaped() {
        let pairs = parameters(r#"; name="audio"; filename="a \"b\" c.mp3""#).unwrap();
        assert_eq!(pairs[1].1, "a \"b\" c.mp3");
    }
}
