//! What serializes as the value that policies look at. Keys and names of variants are kept once: ten thousand findings have a dozen keys
//! between them, and a policy that looks at one in each of them looks at the same memory.

use std::collections::{BTreeMap, HashMap};

use regorus::Value;
use serde::Serialize;
use serde::de::value::Error;
use serde::ser::{self, Impossible, SerializeMap, SerializeSeq, SerializeStruct};

/// # Errors
/// When a part of it is nothing that JSON knows, as a number that is none.
pub(super) fn value_of(document: &impl Serialize) -> Result<Value, Error> {
    document.serialize(&mut Names::default())
}

/// Texts that come again and again.
#[derive(Default)]
struct Names(HashMap<String, Value>);

impl Names {
    fn name(&mut self, name: &str) -> Value {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        let value = Value::from(name);
        self.0.insert(name.to_string(), value.clone());
        value
    }
}

fn no_json<T>(what: &str) -> Result<T, Error> {
    Err(ser::Error::custom(format!("{what} is no JSON")))
}

impl<'a> ser::Serializer for &'a mut Names {
    type Ok = Value;
    type Error = Error;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Impossible<Value, Error>;
    type SerializeTupleStruct = Impossible<Value, Error>;
    type SerializeTupleVariant = Impossible<Value, Error>;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Entries<'a>;
    type SerializeStructVariant = Impossible<Value, Error>;

    fn serialize_bool(self, value: bool) -> Result<Value, Error> {
        Ok(Value::from(value))
    }

    fn serialize_i8(self, value: i8) -> Result<Value, Error> {
        Ok(Value::from(i64::from(value)))
    }

    fn serialize_i16(self, value: i16) -> Result<Value, Error> {
        Ok(Value::from(i64::from(value)))
    }

    fn serialize_i32(self, value: i32) -> Result<Value, Error> {
        Ok(Value::from(value))
    }

    fn serialize_i64(self, value: i64) -> Result<Value, Error> {
        Ok(Value::from(value))
    }

    fn serialize_u8(self, value: u8) -> Result<Value, Error> {
        Ok(Value::from(u64::from(value)))
    }

    fn serialize_u16(self, value: u16) -> Result<Value, Error> {
        Ok(Value::from(u64::from(value)))
    }

    fn serialize_u32(self, value: u32) -> Result<Value, Error> {
        Ok(Value::from(value))
    }

    fn serialize_u64(self, value: u64) -> Result<Value, Error> {
        Ok(Value::from(value))
    }

    fn serialize_f32(self, value: f32) -> Result<Value, Error> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<Value, Error> {
        if value.is_finite() { Ok(Value::from(value)) } else { no_json(&value.to_string()) }
    }

    fn serialize_char(self, value: char) -> Result<Value, Error> {
        Ok(Value::from(value.to_string()))
    }

    fn serialize_str(self, value: &str) -> Result<Value, Error> {
        Ok(Value::from(value))
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<Value, Error> {
        no_json("a piece of bytes")
    }

    fn serialize_none(self) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, Error> {
        Ok(self.name(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Value, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Error> {
        let value = value.serialize(&mut *self)?;
        Ok(Value::from(BTreeMap::from([(self.name(variant), value)])))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Elements<'a>, Error> {
        Ok(Elements { names: self, elements: Vec::with_capacity(length.unwrap_or(0)) })
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        no_json("a tuple")
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        no_json(name)
    }

    fn serialize_tuple_variant(self, name: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self::SerializeTupleVariant, Error> {
        no_json(name)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'a>, Error> {
        Ok(Entries { names: self, entries: Vec::new(), key: None })
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Entries<'a>, Error> {
        Ok(Entries { names: self, entries: Vec::with_capacity(length), key: None })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        no_json(name)
    }
}

struct Elements<'a> {
    names: &'a mut Names,
    elements: Vec<Value>,
}

impl SerializeSeq for Elements<'_> {
    type Ok = Value;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.elements.push(value.serialize(&mut *self.names)?);
        Ok(())
    }

    fn end(self) -> Result<Value, Error> {
        Ok(Value::from(self.elements))
    }
}

struct Entries<'a> {
    names: &'a mut Names,
    entries: Vec<(Value, Value)>,
    key: Option<Value>,
}

impl SerializeMap for Entries<'_> {
    type Ok = Value;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        match key.serialize(&mut *self.names)? {
            Value::String(name) => self.key = Some(self.names.name(&name)),
            other => return no_json(&format!("the key {other}")),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let key = self.key.take().expect("a value comes after its key");
        self.entries.push((key, value.serialize(&mut *self.names)?));
        Ok(())
    }

    fn end(self) -> Result<Value, Error> {
        Ok(Value::from(self.entries.into_iter().collect::<BTreeMap<Value, Value>>()))
    }
}

impl SerializeStruct for Entries<'_> {
    type Ok = Value;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        let key = self.names.name(key);
        self.entries.push((key, value.serialize(&mut *self.names)?));
        Ok(())
    }

    fn end(self) -> Result<Value, Error> {
        SerializeMap::end(self)
    }
}
