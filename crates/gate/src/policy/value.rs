//! What serializes as the value that policies look at. Keys and names of variants are kept once: ten thousand findings have a dozen keys
//! between them, and a policy that looks at one in each of them looks at the same memory.
//!
//! ```text
//! rule: "rule-1", severity: high, file: "a.py"      a struct, in the order it is declared in
//! file: "a.py", rule: "rule-1", severity: high      an object of regorus, by key; how to get there is found out once a struct
//! ```

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
struct Names {
    texts: HashMap<String, Value>,
    /// By the name of the struct; there are a dozen.
    shapes: Vec<(&'static str, Shape)>,
}

impl Names {
    fn name(&mut self, name: &str) -> Value {
        if let Some(known) = self.texts.get(name) {
            return known.clone();
        }
        let value = Value::from(name);
        self.texts.insert(name.to_string(), value.clone());
        value
    }
}

/// The fields of a struct that were seen so far, as they are declared.
#[derive(Default)]
struct Shape(Vec<Field>);

struct Field {
    name: &'static str,
    key: Value,
    /// Its place among the keys of the object.
    rank: usize,
    /// The list it had the last time: thousands of findings are of the same few reports.
    list: Value,
}

impl Shape {
    /// Where the field is, which comes at `from` or later: those before it may be left out of a value, but none comes twice or earlier.
    fn find(&self, name: &str, from: usize) -> Option<usize> {
        Some(from + self.0.get(from..)?.iter().position(|field| field.name == name)?)
    }

    /// The same list again is the same memory again.
    fn kept(&mut self, at: usize, value: Value) -> Value {
        if !matches!(value, Value::Array(_)) {
            return value;
        }
        let list = &mut self.0[at].list;
        if *list != value {
            *list = value;
        }
        list.clone()
    }

    fn insert(&mut self, at: usize, name: &'static str, key: Value) {
        self.0.insert(at, Field { name, key, rank: 0, list: Value::Undefined });
        let ranks: Vec<usize> = self.0.iter().map(|field| self.0.iter().filter(|other| other.key < field.key).count()).collect();
        self.0.iter_mut().zip(ranks).for_each(|(field, rank)| field.rank = rank);
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
    type SerializeStruct = Fields<'a>;
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

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Fields<'a>, Error> {
        let known = self.shapes.iter_mut().find(|(known, _)| *known == name);
        let shape = known.map(|(_, shape)| std::mem::take(shape)).unwrap_or_default();
        Ok(Fields { names: self, name, shape, values: Vec::with_capacity(length) })
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

/// The shape is taken out while it is used: a struct within itself finds none and makes another.
struct Fields<'a> {
    names: &'a mut Names,
    name: &'static str,
    shape: Shape,
    /// Each with the place of its field.
    values: Vec<(usize, Value)>,
}

impl SerializeStruct for Fields<'_> {
    type Ok = Value;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        let from = self.values.last().map_or(0, |(at, _)| at + 1);
        let at = self.shape.find(name, from).unwrap_or_else(|| {
            self.shape.insert(from, name, self.names.name(name));
            from
        });
        let value = value.serialize(&mut *self.names)?;
        self.values.push((at, self.shape.kept(at, value)));
        Ok(())
    }

    fn end(mut self) -> Result<Value, Error> {
        let fields = &self.shape.0;
        self.values.sort_unstable_by_key(|(at, _)| fields[*at].rank);
        let entries: BTreeMap<Value, Value> = self.values.into_iter().map(|(at, value)| (fields[at].key.clone(), value)).collect();
        match self.names.shapes.iter_mut().find(|(known, _)| *known == self.name) {
            Some((_, shape)) => *shape = self.shape,
            None => self.names.shapes.push((self.name, self.shape)),
        }
        Ok(Value::from(entries))
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Clone, Serialize)]
    struct Node {
        zone: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'static str>,
        list: Vec<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        inner: Option<Box<Node>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        age: Option<f64>,
        last: Other,
    }

    #[derive(Clone, Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Other {
        Unit,
        Newtype(other::Node),
    }

    /// Of the same name and with the same fields, in another order.
    mod other {
        #[derive(Clone, serde::Serialize)]
        pub struct Node {
            pub name: &'static str,
            pub zone: i64,
        }
    }

    fn node(bits: u32) -> Node {
        let has = |bit: u32| bits & (1 << bit) != 0;
        Node {
            zone: bits,
            name: has(0).then_some("a \"name\" \u{7}"),
            list: if has(1) { vec!["x"] } else { vec!["x", "y"] },
            inner: has(2).then(|| Box::new(node(bits >> 3))),
            age: has(3).then_some(f64::from(bits) / 4.0),
            last: if has(4) { Other::Newtype(other::Node { name: "n", zone: -1 }) } else { Other::Unit },
        }
    }

    #[test]
    fn policies_see_what_the_text_says() {
        let nodes: Vec<Node> = (0..256).chain((0..256).rev()).map(node).collect();
        let text = serde_json::to_string(&nodes).expect("JSON");
        let seen = value_of(&nodes).expect("JSON");
        assert_eq!(seen, Value::from_json_str(&text).expect("JSON"));
    }
}
