//! What an answer tells Envoy for its access log and rate limits: a `google.protobuf.Struct` under one key.
//!
//! Written by hand instead of through a message type, because most of it is the same for all requests of a caller and
//! is kept encoded. Protobuf merges messages that are written one after the other, but not two map entries of the same
//! key (the last one wins), so the constant part goes inside, behind the fields of the request.

use prost::encoding::{encode_varint, encoded_len_varint};

/// The key in Envoy's metadata namespace `envoy.filters.http.ext_authz`.
pub(super) const KEY: &str = "entrance";

/// One field of a `Struct`.
pub(super) type Field<'a> = (&'static str, Value<'a>);

/// One value of a `Struct`.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// `string_value`.
    Text(&'a str),
    /// `string_value`: two texts with a slash between them.
    Path(&'a str, &'a str),
    /// `number_value`.
    Number(f64),
    /// `struct_value`.
    Fields(&'a [Field<'a>]),
}

// Field numbers and wire types of `google.protobuf.Struct`, its map entry, and `google.protobuf.Value`.
const FIELDS: u8 = 0x0a;
const ENTRY_KEY: u8 = 0x0a;
const ENTRY_VALUE: u8 = 0x12;
const NUMBER: u8 = 0x11;
const STRING: u8 = 0x1a;
const STRUCT: u8 = 0x2a;

/// Appends the fields of a `Struct`.
pub(super) fn put(fields: &[Field<'_>], out: &mut Vec<u8>) {
    for (key, value) in fields {
        let content = value.content();
        out.push(FIELDS);
        put_length(entry_length(key, value.length()), out);
        put_text(ENTRY_KEY, key.as_bytes(), out);
        out.push(ENTRY_VALUE);
        put_length(value.length(), out);
        match *value {
            Value::Number(number) => {
                out.push(NUMBER);
                out.extend_from_slice(&number.to_le_bytes());
            }
            Value::Text(text) => put_text(STRING, text.as_bytes(), out),
            Value::Path(first, second) => {
                out.push(STRING);
                put_length(content, out);
                out.extend_from_slice(first.as_bytes());
                out.push(b'/');
                out.extend_from_slice(second.as_bytes());
            }
            Value::Fields(fields) => {
                out.push(STRUCT);
                put_length(content, out);
                put(fields, out);
            }
        }
    }
}

/// Appends the field `tag` with a `Struct` that has the one key [`KEY`]; under it `fields`, then what [`put`] wrote
/// into `constant` earlier.
pub(super) fn put_under_key(tag: u8, fields: &[Field<'_>], constant: &[u8], out: &mut Vec<u8>) {
    let inner = length(fields).saturating_add(constant.len());
    let value = delimited(inner);
    let entry = entry_length(KEY, value);
    out.push(tag);
    put_length(delimited(entry), out);
    out.push(FIELDS);
    put_length(entry, out);
    put_text(ENTRY_KEY, KEY.as_bytes(), out);
    out.push(ENTRY_VALUE);
    put_length(value, out);
    out.push(STRUCT);
    put_length(inner, out);
    put(fields, out);
    out.extend_from_slice(constant);
}

/// Appends a length-delimited field.
pub(super) fn put_text(tag: u8, text: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    put_length(text.len(), out);
    out.extend_from_slice(text);
}

/// Appends a length.
pub(super) fn put_length(length: usize, out: &mut Vec<u8>) {
    encode_varint(as_u64(length), out);
}

/// The size of a length-delimited field with a one-byte tag.
pub(super) fn delimited(content: usize) -> usize {
    content.saturating_add(encoded_len_varint(as_u64(content))).saturating_add(1)
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn length(fields: &[Field<'_>]) -> usize {
    fields.iter().map(|(key, value)| delimited(entry_length(key, value.length()))).fold(0, usize::saturating_add)
}

fn entry_length(key: &str, value: usize) -> usize {
    delimited(key.len()).saturating_add(delimited(value))
}

impl Value<'_> {
    /// The size of what the value holds.
    fn content(&self) -> usize {
        match *self {
            Self::Text(text) => text.len(),
            Self::Path(first, second) => first.len().saturating_add(second.len()).saturating_add(1),
            Self::Number(_) => size_of::<f64>(),
            Self::Fields(fields) => length(fields),
        }
    }

    /// The size of the `Value` message.
    fn length(&self) -> usize {
        match self {
            Self::Number(_) => self.content().saturating_add(1),
            Self::Text(_) | Self::Path(..) | Self::Fields(_) => delimited(self.content()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Value, put, put_under_key};
    use envoy_types::pb::google::protobuf::{Struct, value::Kind};
    use prost::Message;

    #[test]
    fn envoy_reads_what_is_written() {
        let long = "x".repeat(300);
        let nested = [("outcome", Value::Text("deny"))];
        let fields = [
            ("policy", Value::Path("shop", "orders")),
            ("generation", Value::Number(7.0)),
            ("shadow", Value::Fields(&nested)),
            ("long", Value::Text(&long)),
        ];
        let mut constant = Vec::new();
        put(&[("subject", Value::Text("alice"))], &mut constant);
        let mut out = Vec::new();
        put_under_key(0x0a, &fields, &constant, &mut out);

        // the outer field has the number of `Struct.fields`: what is inside parses as a map entry of its own
        let (_, body) = (out[0], &out[1..]);
        let mut body = body;
        let size = prost::encoding::decode_varint(&mut body).unwrap();
        assert_eq!(usize::try_from(size).unwrap(), body.len());
        let whole = Struct::decode(body).unwrap();
        let Some(Kind::StructValue(inner)) = whole.fields["entrance"].kind.clone() else {
            panic!("no struct under the key");
        };
        let text = |key: &str| match inner.fields[key].kind.clone() {
            Some(Kind::StringValue(text)) => text,
            other => panic!("{key}: {other:?}"),
        };
        assert_eq!(text("policy"), "shop/orders");
        assert_eq!(text("long"), long);
        assert_eq!(text("subject"), "alice");
        assert_eq!(inner.fields["generation"].kind, Some(Kind::NumberValue(7.0)));
        let Some(Kind::StructValue(shadow)) = inner.fields["shadow"].kind.clone() else {
            panic!("no nested struct");
        };
        assert_eq!(shadow.fields["outcome"].kind, Some(Kind::StringValue("deny".into())));
        assert_eq!(inner.fields.len(), 5);
    }
}
