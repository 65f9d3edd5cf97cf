//! Values: through the codec, and as JSON text.

use super::*;

fn stored(text: &str) -> Result<Value, CorruptValue> {
    Value::from_stored(Bytes::copy_from_slice(text.as_bytes()))
}

fn shown(text: &str) -> String {
    stored(text).unwrap().to_json_text()
}

#[test]
fn json_is_kept_as_it_is() {
    let value = Value::from_json(r#" {"a":[1,2.50,null]} "#).unwrap();
    assert_eq!(value.as_bytes().as_ref(), br#"j{"a":[1,2.50,null]}"#);
    assert_eq!(value.to_json_text(), r#"{"a":[1,2.50,null]}"#);
    assert!(Value::from_json("{").is_err());
    assert!(Value::from_json("").is_err());
    assert!(Value::from_json("1 2").is_err());
    assert_eq!(Value::empty_object().to_json_text(), "{}");
}

#[test]
fn undefined_is_no_json() {
    assert!(stored("g[[\"u\"]]").unwrap().is_undefined());
    assert_eq!(Value::undefined().to_json_text(), "null");
    assert!(!Value::empty_object().is_undefined());
}

#[test]
fn streams_are_shown_by_their_preview() {
    let stream = StoredStream::new(5, (1, 4), b"a\"\nb");
    let value = Value::stream(&stream);
    assert_eq!(Value::from_stored(value.as_bytes().clone()).unwrap(), value);
    assert_eq!(value.as_stream(), Some(stream));
    assert_eq!(value.to_json_text(), r#""a\"\nb""#);
    assert_eq!(value.without_stream().as_bytes().as_ref(), br#"j"a\"\nb""#);
    assert_eq!(Value::undefined().as_stream(), None);
    assert_eq!(Value::undefined().without_stream(), Value::undefined());
    assert!(stored(r#"s{"stream":1,"chunks":1,"bytes":2}"#).is_err());
    assert!(stored(r#"s{"stream":1,"chunks":1,"bytes":2,"preview":"","more":1}"#).is_err());
    assert!(stored("s").is_err());
}

#[test]
fn graphs_as_clients_read_them() {
    assert_eq!(
        shown(r#"g[["o","a",1,"b",2,"c",3],["u"],["n","NaN"],["n","-0"]]"#),
        r#"{"b":null,"c":0}"#
    );
    assert_eq!(
        shown(r#"g[["l",1,2,3],["u"],["i","-12"],["d",0]]"#),
        r#"[null,"[BigInt(-12)]","1970-01-01T00:00:00.000Z"]"#
    );
    assert_eq!(
        shown(r#"g[["l",1,2,4,5],["v","Uint16Array",2,0,1],["b","AAEC"],1,["m",3,3],["r","a","g"]]"#),
        r#"["[Uint16Array(2 bytes)]","[ArrayBuffer(3 bytes)]",{},{}]"#
    );
    assert_eq!(shown(r#"g[["a",3,"1",1,"x",1],"hi"]"#), r#"[null,"hi",null]"#);
    assert_eq!(shown(r#"g[["a",4000000000]]"#), r#""[Array(4000000000)]""#);
    assert_eq!(
        shown(r#"g[["l",1,2,3],["B",4],["S",5],["e","Error","m",null,0],true,"s"]"#),
        r#"[true,"s",{}]"#
    );
}

#[test]
fn cycles_depth_and_blow_up_are_cut() {
    assert_eq!(
        shown(r#"g[["o","me",0,"twice",1,"again",1],["l"]]"#),
        r#"{"me":"[Circular]","twice":[],"again":[]}"#
    );
    let deep: Vec<String> = (1..=100_000).map(|next| format!("[\"l\",{next}]")).collect();
    let text = shown(&format!("g[{},1]", deep.join(",")));
    assert_eq!(
        text,
        format!("{}\"[nested too deep]\"{}", "[".repeat(100), "]".repeat(100))
    );
    let wide: Vec<String> = (1..=60).map(|next| format!("[\"l\",{next},{next}]")).collect();
    assert!(shown(&format!("g[{},1]", wide.join(","))).len() < 64 << 20);
}

#[test]
fn stored_bytes_are_not_trusted() {
    for bad in [
        "",
        "x",
        "{}",
        "j",
        "j{",
        "j1 1",
        "g",
        "g[]",
        "g{}",
        "g[{}]",
        "g[[]]",
        "g[[\"o\",\"a\",1]]",
        "g[[\"o\",\"a\"]]",
        "g[[\"o\",1,0]]",
        "g[[\"l\",-1]]",
        "g[[\"l\",1.5]]",
        "g[[\"z\"]]",
        "g[[\"u\",1]]",
        "g[[\"n\",\"1\"]]",
        "g[[\"i\",\"\"]]",
        "g[[\"i\",\"-\"]]",
        "g[[\"i\",\"0x1\"]]",
        "g[[\"m\",0]]",
        "g[[\"d\",8.7e15]]",
        "g[[\"d\",\"x\"]]",
        "g[[\"b\",\"*\"]]",
        "g[[\"v\",\"Uint8Array\",1,0,4],[\"b\",\"AAEC\"]]",
        "g[[\"v\",\"Uint8Array\",0,0,0]]",
        "g[[\"v\",\"Uint16Array\",1,1,1],[\"b\",\"AAEC\"]]",
        "g[[\"v\",\"Object\",1,0,1],[\"b\",\"AAEC\"]]",
        "g[[\"v\",\"Float64Array\",1,0,18446744073709551615],[\"b\",\"AAEC\"]]",
        "g[[\"e\",\"Error\",\"m\",null,-2]]",
        "g[[\"e\",\"Error\",\"m\",null,1]]",
        "g[[\"e\",\"Error\",\"m\",[],-1]]",
        "g[[\"r\",\"a\"]]",
        "g[[\"S\",7]]",
    ] {
        assert!(stored(bad).is_err(), "{bad}");
    }
    assert!(Value::from_stored(Bytes::from_static(b"j\"\xff\"")).is_err());
}
