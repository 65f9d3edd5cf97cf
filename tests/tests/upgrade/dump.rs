//! A database as SQL text: what changes in a fixture can be read in a diff, and it needs no program to be packed and unpacked.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::fmt::Write;
use std::path::Path;

/// Zeros in a row that are not worth being written out.
const MANY: usize = 64;

/// Writes down all that a database holds.
pub(crate) fn dump(file: &Path) -> String {
    let connection = Connection::open(file).unwrap();
    let pragma = |name: &str| -> i64 {
        let query = format!("PRAGMA {name}");
        connection.query_row(&query, [], |row| row.get(0)).unwrap()
    };
    let mut text = format!("PRAGMA auto_vacuum = {};\nBEGIN;\n", pragma("auto_vacuum"));
    let schema = |kind: &str| -> Vec<(String, String)> {
        let query = "SELECT name, sql FROM sqlite_schema WHERE type = ? AND sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid";
        let mut statement = connection.prepare(query).unwrap();
        let rows = statement.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    let mut tables = schema("table");
    for (_, sql) in &tables {
        writeln!(text, "{sql};").unwrap();
    }
    tables.push(("sqlite_sequence".to_owned(), String::new()));
    for (table, _) in &tables {
        rows(&connection, table, &mut text);
    }
    for (_, sql) in schema("index") {
        writeln!(text, "{sql};").unwrap();
    }
    let (application, version) = (pragma("application_id"), pragma("user_version"));
    writeln!(
        text,
        "PRAGMA application_id = {application};\nPRAGMA user_version = {version};\nCOMMIT;"
    )
    .unwrap();
    text
}

fn rows(connection: &Connection, table: &str, text: &mut String) {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let values: Vec<String> = (0..columns).map(|at| literal(row.get_ref_unwrap(at))).collect();
        writeln!(text, "INSERT INTO {table} VALUES ({});", values.join(", ")).unwrap();
    }
}

fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => format!("{number:?}"),
        ValueRef::Text(text) => format!("'{}'", std::str::from_utf8(text).unwrap().replace('\'', "''")),
        ValueRef::Blob(bytes) if bytes.len() >= MANY && bytes.iter().all(|byte| *byte == 0) => {
            format!("zeroblob({})", bytes.len())
        }
        ValueRef::Blob(bytes) => {
            let mut text = "X'".to_owned();
            for byte in bytes {
                write!(text, "{byte:02x}").unwrap();
            }
            text + "'"
        }
    }
}

/// Makes the database again.
pub(crate) fn load(text: &str, file: &Path) {
    Connection::open(file).unwrap().execute_batch(text).unwrap();
}

/// How many migrations a database has had.
pub(crate) fn schema(file: &Path) -> u32 {
    let connection = Connection::open(file).unwrap();
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap()
}

/// Makes it a database of a release to come.
pub(crate) fn be_newer(file: &Path) {
    Connection::open(file)
        .unwrap()
        .execute_batch("PRAGMA user_version = 9999")
        .unwrap();
}
