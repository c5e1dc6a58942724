//! Functions and methods of the `mongo` shell: of `db`, of collections, cursors, arrays and texts, and its global ones.

use super::eval::{Shell, Thrown, Value};
use super::show;
use crate::app::Credentials;
use crate::object::Json;
use crate::{array, object};
use arcstr::ArcStr;
use std::rc::Rc;

type Evaluated = Result<Value, Thrown>;

const ERROR_WITH_CODE: &str = "_getErrorWithCode@src/mongo/shell/utils.js:25:13";

const BUILTINS: &[&str] = &[
    "print",
    "printjson",
    "printjsononeline",
    "tojson",
    "tojsononeline",
    "quit",
    "exit",
    "sleep",
    "version",
    "rs",
    "sh",
    "ObjectId",
    "ISODate",
    "Date",
    "NumberLong",
    "NumberInt",
    "UUID",
    "JSON",
    "Object",
    "Math",
    "Mongo",
    "connect",
    "help",
    "isMaster",
    "hostname",
    "load",
    "passwordPrompt",
    "EJSON",
    "Array",
    "String",
    "Number",
    "Error",
];

/// Whether the shell itself defines a name.
pub fn is_builtin(name: &str) -> bool {
    BUILTINS.contains(&name)
}

/// A member of a value; `None` when the value can have none.
pub fn member(target: &Value, key: &str) -> Option<Value> {
    let method = || Some(Value::Method(Box::new(target.clone()), key.to_owned()));
    match target {
        Value::Undefined | Value::Json(Json::Null) => None,
        Value::Database(name) => Some(Value::Collection(name.clone(), key.into())),
        Value::Collection(database, name) => Some(Value::Collection(database.clone(), format!("{name}.{key}").into())),
        Value::Json(json @ Json::Obj(_)) | Value::Shown(_, json) => match json.as_map().and_then(|m| m.get(key)) {
            Some(found) => Some(Value::Json(found.clone())),
            None if is_map_method(key) => method(),
            None => Some(Value::Undefined),
        },
        Value::Json(json @ Json::Arr(items)) => match (key, key.parse::<usize>()) {
            ("length", _) => Some(items.len().into()),
            (_, Ok(index)) => Some(json.items().get(index).map_or(Value::Undefined, |v| Value::Json(v.clone()))),
            _ => method(),
        },
        Value::Json(Json::Str(text)) if key == "length" => Some(text.chars().count().into()),
        Value::Cursor(documents, _) => match key.parse::<usize>() {
            Ok(index) => Some(documents.get(index).map_or(Value::Undefined, |v| Value::Json(v.clone()))),
            Err(_) => method(),
        },
        _ => method(),
    }
}

fn is_map_method(key: &str) -> bool {
    matches!(key, "toString" | "hasOwnProperty" | "str" | "getTimestamp" | "toISOString" | "getTime" | "toNumber" | "pretty")
}

fn argument(arguments: &[Value], at: usize) -> Json {
    arguments.get(at).map(Value::json).unwrap_or_default()
}

/// Calls a function of the shell.
pub fn builtin(shell: &mut Shell<'_>, name: &str, arguments: &[Value]) -> Evaluated {
    let first = arguments.first().cloned().unwrap_or(Value::Undefined);
    match name {
        "print" => {
            let line = arguments.iter().map(Value::text).collect::<Vec<_>>().join(" ");
            shell.print(&line);
            Ok(Value::Undefined)
        }
        "printjson" => {
            shell.print(&show::tojson(&first.json()));
            Ok(Value::Undefined)
        }
        "printjsononeline" => {
            shell.print(&show::one_line(&first.json()));
            Ok(Value::Undefined)
        }
        "tojson" => Ok(show::tojson(&first.json()).into()),
        "tojsononeline" => Ok(show::one_line(&first.json()).into()),
        "quit" | "exit" => {
            shell.quit = Some(first.json().as_i64().and_then(|c| i32::try_from(c).ok()).unwrap_or(0));
            Ok(Value::Undefined)
        }
        "sleep" => {
            shell.slept_ms += first.json().as_i64().and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0).min(600_000);
            Ok(Value::Json(Json::Null))
        }
        "version" => Ok("4.4.6".into()),
        "ObjectId" => Ok(object! { "$oid" => first.text() }.into()),
        "ISODate" | "Date" => Ok(object! { "$date" => first.text() }.into()),
        "UUID" => Ok(object! { "$uuid" => first.text() }.into()),
        "NumberLong" => Ok(object! { "$long" => first.json() }.into()),
        "NumberInt" | "Number" => Ok(first),
        "String" => Ok(first.text().into()),
        "Error" => Ok(object! { "message" => first.text() }.into()),
        "Mongo" => Ok(Value::Builtin("Mongo".to_owned())),
        _ => Err(Thrown::error(format!("{name}() is not part of this simulated shell"), &[])),
    }
}

/// Calls a method of a value.
pub fn method(shell: &mut Shell<'_>, receiver: &Value, name: &str, arguments: &[Value]) -> Evaluated {
    match receiver {
        Value::Database(database) => of_database(shell, database, name, arguments),
        Value::Collection(database, collection) => of_collection(shell, (database, collection), name, arguments),
        Value::Cursor(documents, pretty) => of_cursor(shell, documents, *pretty, (name, arguments)),
        Value::Json(Json::Arr(items)) => of_array(shell, items, name, arguments),
        Value::Json(Json::Str(text)) => of_text(text, name, arguments),
        Value::Builtin(object) => of_builtin(shell, object, name, arguments),
        Value::Json(json) | Value::Shown(_, json) => of_map(receiver, json, name, arguments),
        _ => Err(not_a_function(&receiver.text(), name)),
    }
}

fn not_a_function(receiver: &str, name: &str) -> Thrown {
    let mut thrown = Thrown::error("", &[]);
    thrown.text = format!("TypeError: {receiver}.{name} is not a function");
    thrown
}

/// Sends a command to the server.
fn send(shell: &mut Shell<'_>, database: &str, command: &Json) -> Json {
    match &mut shell.connection {
        Some(connection) => connection.command(database, command),
        None => object! { "ok" => 0, "errmsg" => "not connected to a server" },
    }
}

fn is_ok(reply: &Json) -> bool {
    reply.get("ok").as_f64() == Some(1.0)
}

fn frame(owner: &str, name: &str, place: &str) -> String {
    format!("{owner}.prototype.{name}@src/mongo/shell/{place}")
}

fn thrown(message: String, frames: &[String]) -> Thrown {
    let mut all = vec![ERROR_WITH_CODE];
    all.extend(frames.iter().map(String::as_str));
    Thrown::error(message, &all)
}

/// The name that a user function takes first.
fn user_command(command: &str, arguments: &[Value]) -> Json {
    let mut all = object! {};
    all.set(command, argument(arguments, 0));
    if matches!(command, "grantRolesToUser" | "revokeRolesFromUser") {
        all.set("roles", argument(arguments, 1));
    }
    all
}

fn of_database(shell: &mut Shell<'_>, database: &ArcStr, name: &str, arguments: &[Value]) -> Evaluated {
    match name {
        "getName" | "toString" => Ok(Value::Json(Json::from(database))),
        "getSiblingDB" | "getSisterDB" | "getDB" => Ok(Value::Database(argument(arguments, 0).text().into())),
        "getCollection" => Ok(Value::Collection(database.clone(), argument(arguments, 0).text().into())),
        "getMongo" => Ok(Value::Builtin("Mongo".to_owned())),
        "runCommand" | "adminCommand" => {
            let command = match argument(arguments, 0) {
                Json::Str(command) => {
                    let mut all = argument(arguments, 1);
                    all.set(&command, 1);
                    all
                }
                command => command,
            };
            let target = if name == "adminCommand" { "admin" } else { database.as_str() };
            Ok(send(shell, target, &command).into())
        }
        "createUser" | "updateUser" | "dropUser" | "grantRolesToUser" | "revokeRolesFromUser" | "changeUserPassword" => {
            manage_users(shell, database, name, arguments)
        }
        "getUser" | "getUsers" => {
            let which = if name == "getUser" { argument(arguments, 0) } else { Json::from(1) };
            let reply = send(shell, database, &object! { "usersInfo" => which });
            if !is_ok(&reply) {
                let place = if name == "getUser" { "db.js:1642:15" } else { "db.js:1656:15" };
                return Err(thrown(reply.get("errmsg").text().to_owned(), &[frame("DB", name, place)]));
            }
            let users = reply.get("users").clone();
            Ok(Value::Json(if name == "getUser" { users.nth(0).clone() } else { users }))
        }
        "auth" => Ok(log_in(shell, database, arguments)),
        "logout" => {
            if let Some(connection) = &mut shell.connection {
                connection.log_out();
            }
            Ok(object! { "ok" => 1 }.into())
        }
        "getCollectionNames" | "getCollectionInfos" => {
            let reply = send(shell, database, &object! { "listCollections" => 1 });
            if !is_ok(&reply) {
                let message = format!("listCollections failed: {}", show::tojson(&reply));
                return Err(thrown(message, &[frame("DB", "_getCollectionInfosCommand", "db.js:711:15")]));
            }
            let batch = reply.at(&["cursor", "firstBatch"]);
            Ok(Value::Json(if name == "getCollectionNames" {
                batch.items().iter().map(|c| c.get("name").clone()).collect()
            } else {
                batch.clone()
            }))
        }
        "stats" => Ok(send(shell, database, &object! { "dbStats" => 1 }).into()),
        "serverStatus" => Ok(send(shell, database, &object! { "serverStatus" => 1 }).into()),
        "hello" | "isMaster" => Ok(send(shell, database, &object! { "isMaster" => 1 }).into()),
        "version" => Ok("4.4.6".into()),
        "dropDatabase" => Ok(send(shell, database, &object! { "dropDatabase" => 1 }).into()),
        "createCollection" => Ok(send(shell, database, &object! { "create" => argument(arguments, 0) }).into()),
        "serverCmdLineOpts" => Ok(send(shell, "admin", &object! { "getCmdLineOpts" => 1 }).into()),
        _ => Err(not_a_function("db", name)),
    }
}

fn log_in(shell: &mut Shell<'_>, database: &ArcStr, arguments: &[Value]) -> Value {
    let first = argument(arguments, 0);
    let (user, password) = match first.as_str() {
        Some(user) => (user.to_owned(), argument(arguments, 1)),
        None => (first.get("user").text().to_owned(), first.get("pwd").clone()),
    };
    let who = Credentials { user: user.into(), password: password.text().into(), database: database.clone() };
    let known = shell.connection.as_mut().is_some_and(|c| c.log_in(who));
    if !known {
        shell.print("Error: Authentication failed.");
    }
    i64::from(known).into()
}

fn manage_users(shell: &mut Shell<'_>, database: &ArcStr, name: &str, arguments: &[Value]) -> Evaluated {
    let first = argument(arguments, 0);
    let command = match name {
        "createUser" => {
            let mut all = first.clone();
            all.set("createUser", first.get("user"));
            all.remove("user");
            all
        }
        "updateUser" => {
            let mut all = argument(arguments, 1);
            all.set("updateUser", &first);
            all
        }
        "changeUserPassword" => object! { "updateUser" => &first, "pwd" => argument(arguments, 1) },
        other => user_command(other, arguments),
    };
    let reply = send(shell, database, &command);
    if is_ok(&reply) {
        return Ok(match name {
            "createUser" => {
                let mut shown = first;
                shown.remove("pwd");
                shell.print(&format!("Successfully added user: {}", show::tojson(&shown)));
                Value::Undefined
            }
            "dropUser" => true.into(),
            _ => Value::Undefined,
        });
    }
    let message = reply.get("errmsg").text().to_owned();
    match name {
        "dropUser" if reply.get("code").as_i64() == Some(11) => Ok(false.into()),
        "createUser" => Err(thrown(format!("couldn't add user: {message}"), &[frame("DB", name, "db.js:1386:11")])),
        "updateUser" | "changeUserPassword" => {
            Err(thrown(format!("Updating user failed: {message}"), &[frame("DB", "updateUser", "db.js:1451:15")]))
        }
        "grantRolesToUser" => Err(thrown(message, &[frame("DB", name, "db.js:1619:15")])),
        "revokeRolesFromUser" => Err(thrown(message, &[frame("DB", name, "db.js:1635:15")])),
        _ => Err(thrown(message, &[frame("DB", name, "db.js:1507:11")])),
    }
}

/// Throws the reply of a read that failed.
fn failed_read(what: &str, reply: &Json, frames: &[String]) -> Thrown {
    thrown(format!("{what}: {}", show::tojson(reply)), frames)
}

fn of_collection(shell: &mut Shell<'_>, place: (&ArcStr, &ArcStr), name: &str, arguments: &[Value]) -> Evaluated {
    let (database, collection) = place;
    let filter = match argument(arguments, 0) {
        Json::Null => object! {},
        filter => filter,
    };
    match name {
        "find" | "findOne" => {
            let mut command = object! { "find" => collection, "filter" => filter };
            if name == "findOne" {
                command.set("limit", 1);
            }
            let reply = send(shell, database, &command);
            if !is_ok(&reply) {
                return Err(failed_read("error", &reply, &["DBCommandCursor@src/mongo/shell/query.js:717:17".to_owned()]));
            }
            let documents = reply.at(&["cursor", "firstBatch"]).items().to_vec();
            Ok(match name {
                "find" => Value::Cursor(Rc::new(documents), false),
                _ => Value::Json(documents.into_iter().next().unwrap_or_default()),
            })
        }
        "count" | "countDocuments" | "estimatedDocumentCount" => {
            let reply = send(shell, database, &object! { "count" => collection, "query" => filter });
            if is_ok(&reply) {
                Ok(reply.get("n").clone().into())
            } else {
                Err(failed_read("count failed", &reply, &[frame("DBQuery", "count", "query.js:376:11")]))
            }
        }
        "distinct" => {
            let command = object! { "distinct" => collection, "key" => argument(arguments, 0), "query" => argument(arguments, 1) };
            let reply = send(shell, database, &command);
            if is_ok(&reply) { Ok(reply.get("values").clone().into()) } else { Err(failed_read("distinct failed", &reply, &[])) }
        }
        "stats" => Ok(send(shell, database, &object! { "collStats" => collection }).into()),
        "getIndexes" => Ok(send(shell, database, &object! { "listIndexes" => collection }).at(&["cursor", "firstBatch"]).clone().into()),
        "getName" => Ok(Value::Json(Json::from(collection))),
        "drop" => Ok(is_ok(&send(shell, database, &object! { "drop" => collection })).into()),
        "createIndex" | "ensureIndex" => Ok(send(shell, database, &object! { "createIndexes" => collection }).into()),
        "insert" | "insertOne" | "insertMany" | "save" => insert(shell, place, name, arguments),
        "update" | "updateOne" | "updateMany" | "replaceOne" => update(shell, place, name, arguments),
        "remove" | "deleteOne" | "deleteMany" => remove(shell, place, name, arguments),
        _ => Err(not_a_function(&format!("db.{collection}"), name)),
    }
}

/// The result of a write that the server refused.
fn refused(reply: &Json) -> Value {
    Value::Shown(format!("WriteCommandError({})", show::tojson(reply)), reply.clone())
}

fn insert(shell: &mut Shell<'_>, (database, collection): (&ArcStr, &ArcStr), name: &str, arguments: &[Value]) -> Evaluated {
    let documents = match argument(arguments, 0) {
        list @ Json::Arr(_) => list,
        one => array![one],
    };
    let reply = send(shell, database, &object! { "insert" => collection, "documents" => documents });
    if !is_ok(&reply) {
        return Ok(refused(&reply));
    }
    Ok(match name {
        "insertOne" | "insertMany" => object! { "acknowledged" => true, "insertedCount" => reply.get("n") }.into(),
        _ => Value::Shown(format!("WriteResult({{ \"nInserted\" : {} }})", reply.get("n").to_compact()), reply),
    })
}

fn update(shell: &mut Shell<'_>, (database, collection): (&ArcStr, &ArcStr), name: &str, arguments: &[Value]) -> Evaluated {
    let options = argument(arguments, 2);
    let multi = name == "updateMany" || options.get("multi").is_true();
    let one = object! { "q" => argument(arguments, 0), "u" => argument(arguments, 1), "multi" => multi, "upsert" => options.get("upsert").is_true() };
    let reply = send(shell, database, &object! { "update" => collection, "updates" => array![one] });
    if !is_ok(&reply) {
        return Ok(refused(&reply));
    }
    let upserted = reply.get("upserted").as_i64().unwrap_or(0);
    let (matched, modified) = (reply.get("n").as_i64().unwrap_or(0) - upserted, reply.get("nModified").as_i64().unwrap_or(0));
    Ok(match name {
        "update" => {
            let text = format!("WriteResult({{ \"nMatched\" : {matched}, \"nUpserted\" : {upserted}, \"nModified\" : {modified} }})");
            Value::Shown(text, reply)
        }
        _ => object! { "acknowledged" => true, "matchedCount" => matched, "modifiedCount" => modified }.into(),
    })
}

fn remove(shell: &mut Shell<'_>, (database, collection): (&ArcStr, &ArcStr), name: &str, arguments: &[Value]) -> Evaluated {
    if name == "remove" && arguments.is_empty() {
        return Err(Thrown::error("remove needs a query", &[&frame("DBCollection", "_parseRemove", "collection.js:363:15")]));
    }
    let limit = i64::from(name == "deleteOne" || argument(arguments, 1).is_true());
    let one = object! { "q" => argument(arguments, 0), "limit" => limit };
    let reply = send(shell, database, &object! { "delete" => collection, "deletes" => array![one] });
    if !is_ok(&reply) {
        return Ok(refused(&reply));
    }
    Ok(match name {
        "remove" => Value::Shown(format!("WriteResult({{ \"nRemoved\" : {} }})", reply.get("n").to_compact()), reply),
        _ => object! { "acknowledged" => true, "deletedCount" => reply.get("n") }.into(),
    })
}

fn of_cursor(shell: &mut Shell<'_>, documents: &Rc<Vec<Json>>, pretty: bool, (name, arguments): (&str, &[Value])) -> Evaluated {
    let number = || argument(arguments, 0).as_i64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let cursor = |documents: Vec<Json>| Ok(Value::Cursor(Rc::new(documents), pretty));
    match name {
        "pretty" => Ok(Value::Cursor(documents.clone(), true)),
        "limit" if number() > 0 => cursor(documents.iter().take(number()).cloned().collect()),
        "skip" => cursor(documents.iter().skip(number()).cloned().collect()),
        "limit" | "batchSize" | "noCursorTimeout" | "maxTimeMS" => cursor(documents.to_vec()),
        "sort" => {
            let mut sorted = documents.to_vec();
            let by = argument(arguments, 0);
            for (path, direction) in by.entries().rev() {
                let down = direction.as_f64().is_some_and(|d| d < 0.0);
                sorted.sort_by(|a, b| {
                    let order =
                        super::query::compare(super::query::at(a, path), super::query::at(b, path)).unwrap_or(std::cmp::Ordering::Equal);
                    if down { order.reverse() } else { order }
                });
            }
            cursor(sorted)
        }
        "count" | "size" | "itcount" | "length" => Ok(documents.len().into()),
        "hasNext" => Ok((!documents.is_empty()).into()),
        "next" => Ok(documents.first().cloned().unwrap_or_default().into()),
        _ => of_array(shell, documents, name, arguments),
    }
}

fn of_array(shell: &mut Shell<'_>, items: &[Json], name: &str, arguments: &[Value]) -> Evaluated {
    let Some(Value::Function(function)) = arguments.first().cloned() else { return plain_array(shell, items, name, arguments) };
    let mut results = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let result = shell.call(&function, vec![item.clone().into(), at.into()])?;
        results.push((item, result));
    }
    let holds = |value: &Value| {
        value.json().is_true() || (!value.json().is_null() && value.json() != Json::Bool(false) && value.json() != Json::Int(0))
    };
    match name {
        "forEach" => Ok(Value::Undefined),
        "map" => Ok(Value::Json(results.iter().map(|(_, r)| r.json()).collect())),
        "filter" => Ok(Value::Json(results.iter().filter(|(_, r)| holds(r)).map(|(i, _)| (*i).clone()).collect())),
        "find" => Ok(results.iter().find(|(_, r)| holds(r)).map_or(Value::Undefined, |(i, _)| Value::Json((*i).clone()))),
        "some" => Ok(results.iter().any(|(_, r)| holds(r)).into()),
        "every" => Ok(results.iter().all(|(_, r)| holds(r)).into()),
        _ => Err(not_a_function("array", name)),
    }
}

fn plain_array(shell: &mut Shell<'_>, items: &[Json], name: &str, arguments: &[Value]) -> Evaluated {
    match name {
        "forEach" | "map" if matches!(arguments.first(), Some(Value::Builtin(_))) => {
            let Some(Value::Builtin(function)) = arguments.first().cloned() else { return Ok(Value::Undefined) };
            for item in items {
                builtin(shell, &function, &[item.clone().into()])?;
            }
            Ok(Value::Undefined)
        }
        "join" => {
            let by = arguments.first().map_or_else(|| ",".to_owned(), Value::text);
            Ok(items.iter().map(|i| Value::Json(i.clone()).text()).collect::<Vec<_>>().join(&by).into())
        }
        "includes" | "indexOf" => {
            let found = items.iter().position(|i| *i == argument(arguments, 0));
            Ok(if name == "includes" { found.is_some().into() } else { found.map_or(-1, |at| at as i64).into() })
        }
        "toArray" | "slice" | "concat" | "sort" | "reverse" => {
            let mut all = items.to_vec();
            match name {
                "sort" => all.sort_by_key(|a| Value::Json(a.clone()).text()),
                "reverse" => all.reverse(),
                "concat" => all.extend(argument(arguments, 0).items().iter().cloned()),
                "slice" => {
                    let from = argument(arguments, 0).as_i64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
                    let to = argument(arguments, 1).as_i64().and_then(|n| usize::try_from(n).ok()).unwrap_or(all.len());
                    all = all.into_iter().take(to).skip(from).collect();
                }
                _ => {}
            }
            Ok(Value::Json(Json::from(all)))
        }
        "length" => Ok(items.len().into()),
        _ => Err(not_a_function("array", name)),
    }
}

fn of_text(text: &ArcStr, name: &str, arguments: &[Value]) -> Evaluated {
    let first = arguments.first().map(Value::text).unwrap_or_default();
    match name {
        "toString" => Ok(text.as_str().into()),
        "toLowerCase" => Ok(text.to_lowercase().into()),
        "toUpperCase" => Ok(text.to_uppercase().into()),
        "includes" => Ok(text.contains(&first).into()),
        "startsWith" => Ok(text.starts_with(&first).into()),
        "endsWith" => Ok(text.ends_with(&first).into()),
        "indexOf" => Ok(text.find(&first).map_or(-1, |at| at as i64).into()),
        "trim" => Ok(text.trim().into()),
        "split" => Ok(Value::Json(text.split(first.as_str()).map(Json::from).collect())),
        "replace" => Ok(text.replacen(&first, &arguments.get(1).map(Value::text).unwrap_or_default(), 1).into()),
        _ => Err(not_a_function("string", name)),
    }
}

fn of_map(receiver: &Value, json: &Json, name: &str, arguments: &[Value]) -> Evaluated {
    match name {
        "toString" => Ok(receiver.text().into()),
        "hasOwnProperty" => Ok(json.as_map().is_some_and(|m| m.contains_key(argument(arguments, 0).text())).into()),
        "str" | "toISOString" => Ok(json.entries().next().map(|(_, v)| v.clone()).unwrap_or_default().into()),
        "toNumber" => Ok(json.get("$long").clone().into()),
        "pretty" => Ok(receiver.clone()),
        _ => Err(not_a_function("object", name)),
    }
}

fn of_builtin(shell: &mut Shell<'_>, object: &str, name: &str, arguments: &[Value]) -> Evaluated {
    let first = argument(arguments, 0);
    match (object, name) {
        ("rs", "status" | "conf" | "config") => Ok(send(shell, "admin", &object! { "replSetGetStatus" => 1 }).into()),
        ("rs", _) => Ok(object! { "ok" => 0, "errmsg" => "This node was not started with the replSet option", "code" => 76, "codeName" => "NoReplicationEnabled" }.into()),
        ("sh", _) => Err(Thrown::error("not connected to a mongos", &["sh._checkMongos@src/mongo/shell/utils_sh.js:8:15"])),
        ("JSON" | "EJSON", "stringify") => Ok(first.to_compact().into()),
        ("JSON" | "EJSON", "parse") => Json::parse(first.text()).map(Value::Json).map_err(|_| Thrown::error("JSON.parse: unexpected character", &[])),
        ("Object", "keys") => Ok(Value::Json(first.entries().map(|(k, _)| Json::from(k)).collect())),
        ("Object", "values") => Ok(Value::Json(first.entries().map(|(_, v)| v.clone()).collect())),
        ("Math", "floor") => Ok((libm::floor(first.as_f64().unwrap_or(f64::NAN)) as i64).into()),
        ("Math", "round") => Ok((libm::round(first.as_f64().unwrap_or(f64::NAN)) as i64).into()),
        ("Mongo", "getDB") => Ok(Value::Database(first.text().into())),
        ("Mongo", "getDBNames") => {
            let reply = send(shell, "admin", &object! { "listDatabases" => 1 });
            Ok(Value::Json(reply.get("databases").items().iter().map(|d| d.get("name").clone()).collect()))
        }
        ("Mongo", "getDBs") => Ok(send(shell, "admin", &object! { "listDatabases" => 1 }).into()),
        _ => Err(not_a_function(object, name)),
    }
}
