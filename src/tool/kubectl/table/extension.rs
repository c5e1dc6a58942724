//! Tables of custom resources, by the printer columns of their definitions.

use super::{Cells, Layout};
use crate::object::{Json, Object, ResourceType};
use crate::tool::kubectl::output::jsonpath::JsonPath;
use crate::tool::kubectl::output::values::plain;

/// The printer columns of a custom resource.
#[derive(Debug, Clone)]
pub struct Custom {
    columns: Vec<CustomColumn>,
}

#[derive(Debug, Clone)]
struct CustomColumn {
    name: String,
    kind: String,
    path: JsonPath,
    wide: bool,
}

/// The layout that a CustomResourceDefinition gives to a kind.
pub fn of_definition(definition: &Object, resource: &ResourceType) -> Layout {
    let version = definition.spec().get("versions").find("name", &resource.version);
    let listed = version.map_or(&[][..], |v| v.get("additionalPrinterColumns").items());
    let column = |column: &Json| {
        Some(CustomColumn {
            name: column.get("name").text().to_uppercase(),
            kind: column.get("type").text().to_owned(),
            path: JsonPath::parse(&format!("{{{}}}", column.get("jsonPath").text())).ok()?,
            wide: column.get("priority").as_i64().unwrap_or(0) != 0,
        })
    };
    let mut columns: Vec<CustomColumn> = listed.iter().filter_map(column).collect();
    if columns.is_empty()
        && let Ok(path) = JsonPath::parse("{.metadata.creationTimestamp}")
    {
        columns.push(CustomColumn { name: "AGE".to_owned(), kind: "date".to_owned(), path, wide: false });
    }
    Layout::Custom(Custom { columns })
}

impl Custom {
    pub(super) fn headers(&self, wide: bool) -> impl Iterator<Item = String> {
        let shown = self.columns.iter().filter(move |c| wide || !c.wide).map(|c| c.name.clone());
        std::iter::once("NAME".to_owned()).chain(shown)
    }

    pub(super) fn fill(&self, object: &Object, cells: &mut Cells) {
        cells.name(object);
        let wide = cells.wide;
        for column in self.columns.iter().filter(|c| wide || !c.wide) {
            let found = column.path.find(object).unwrap_or_default();
            match (column.kind.as_str(), found.first().and_then(|results| results.first())) {
                (_, None | Some(Json::Null)) => cells.text(""),
                ("date", Some(Json::Str(at))) if crate::time::SimTime::parse_rfc3339(at).is_none() => cells.text("<invalid>"),
                ("date", Some(at @ Json::Str(_))) => cells.since(at),
                ("integer", Some(value)) => cells.text(&value.as_f64().map_or(String::new(), |n| format!("{:.0}", n.trunc()))),
                ("number", Some(value)) if value.as_f64().is_some() => cells.text(&plain(value)),
                ("boolean", Some(value @ Json::Bool(_))) => cells.text(&plain(value)),
                ("string", Some(value)) => {
                    let mut text = String::new();
                    match value {
                        Json::Arr(_) | Json::Obj(_) => crate::tool::kubectl::output::json::compact(value, &mut text),
                        scalar => text = plain(scalar),
                    }
                    cells.text(&text);
                }
                _ => cells.text(""),
            }
        }
    }
}
