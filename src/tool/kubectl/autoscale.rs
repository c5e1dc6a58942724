//! `kubectl autoscale`.

use super::builder::{Builder, FILENAME, Info};
use super::command::{Call, Command};
use super::failure::Failure;
use super::flags::Flag;
use super::mutation::{self, DRY_RUN, DryRun, RECORD, SAVE_CONFIG, Writer};
use super::printing::{PRINT, Printer};
use super::set::quantity;
use crate::object;
use crate::object::{Json, Object};

static FLAGS: &[Flag] = &[
    Flag::text("cpu", "Target of CPU: a percentage of the request (70%), or an amount (500m)."),
    Flag::int32("cpu-percent", "-1", "Target of CPU in percent of the request.")
        .deprecated("Use --cpu with percentage or resource quantity format (e.g., '70%' for utilization or '500m' for milliCPU)."),
    Flag::int32("max", "-1", "Greatest number of pods. Required."),
    Flag::text("memory", "Target of memory: a percentage of the request (60%), or an amount (200Mi)."),
    Flag::int32("min", "-1", "Least number of pods; by the server unless given."),
    Flag::text("name", "Name of the autoscaler; that of the object unless given."),
    Flag::text("field-manager", "In whose name the fields are owned.").default("kubectl-autoscale"),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl autoscale",
    "(-f FILENAME | TYPE NAME | TYPE/NAME) [--min=MINPODS] --max=MAXPODS [--cpu=CPU] [--memory=MEMORY]",
    "Auto-scale a deployment, replica set, stateful set, or replication controller",
    &[FLAGS, FILENAME, PRINT, DRY_RUN, SAVE_CONFIG, RECORD],
    run,
);

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    mutation::require(call, &["max"])?;
    let writer = Writer::of(call)?;
    let (min, max) = (call.flags.int("min"), call.flags.int("max"));
    if max < 1 {
        return Err(format!("--max=MAXPODS is required and must be at least 1, max: {max}").into());
    }
    if max < min {
        return Err(format!("--max=MAXPODS must be larger or equal to --min=MINPODS, max: {max}, min: {min}").into());
    }
    let metrics = metrics(call)?;
    let args = call.args.clone();
    let found = Builder::new(call).continue_on_error().files(call, call.namespace_given).types_or_names(call, false, &args).fetch(call)?;
    let infos = found.flat();
    let mut failures = found.failures;
    let nothing = infos.is_empty() && failures.is_empty();
    for info in infos {
        if let Err(failure) = autoscale(call, &writer, &info, &metrics) {
            failures.push(failure);
        }
    }
    Failure::all(failures)?;
    if nothing { Err("no objects passed to autoscale".into()) } else { Ok(()) }
}

/// The metrics that `--cpu-percent`, `--cpu` and `--memory` mean.
fn metrics(call: &Call<'_, '_>) -> Result<Vec<Json>, Failure> {
    let (percent, cpu, memory) = (call.flags.int("cpu-percent"), call.flags.text("cpu"), call.flags.text("memory"));
    if percent > 0 && !cpu.is_empty() {
        return Err("--cpu-percent and --cpu are mutually exclusive".into());
    }
    let mut metrics = Vec::new();
    if percent > 0 {
        metrics.push(metric("cpu", object! { "type" => "Utilization", "averageUtilization" => percent }));
    }
    for (resource, text, unit) in [("cpu", cpu, "m"), ("memory", memory, "Mi")] {
        if !text.is_empty() {
            metrics.push(metric(resource, target(text.trim(), resource, unit)?));
        }
    }
    Ok(metrics)
}

fn metric(resource: &str, target: Json) -> Json {
    object! { "type" => "Resource", "resource" => object! { "name" => resource, "target" => target } }
}

/// A percentage of the request, or an amount; a bare number is in `unit`.
fn target(text: &str, resource: &str, unit: &str) -> Result<Json, String> {
    if let Some(number) = text.strip_suffix('%') {
        let value: i32 = number
            .parse()
            .map_err(|_| format!("failed to convert percentage value: strconv.ParseInt: parsing {number:?}: invalid syntax"))?;
        return Ok(object! { "type" => "Utilization", "averageUtilization" => value });
    }
    let with_unit = if text.parse::<f64>().is_ok() { format!("{text}{unit}") } else { text.to_owned() };
    let amount = quantity(&with_unit).map_err(|_| format!("invalid resource {resource} value: {text}"))?;
    Ok(object! { "type" => "AverageValue", "averageValue" => amount })
}

fn autoscale(call: &mut Call<'_, '_>, writer: &Writer, info: &Info, metrics: &[Json]) -> Result<(), Failure> {
    let scalable = matches!(
        (info.resource.group.as_str(), info.resource.kind.as_str()),
        ("apps", "Deployment" | "ReplicaSet" | "StatefulSet") | ("", "ReplicationController")
    );
    if !scalable {
        let r = &info.resource;
        let gvr = format!("{}/{}, Resource={}", r.group, r.version, r.plural);
        return Err(format!("cannot autoscale a {}: could not find scale subresource for {gvr} in discovery information", r.kind).into());
    }
    let name = call.flags.text("name");
    let target =
        object! { "apiVersion" => info.resource.api_version(), "kind" => info.resource.kind.as_str(), "name" => info.name.as_str() };
    let mut spec = object! { "scaleTargetRef" => target, "maxReplicas" => call.flags.int("max") };
    if call.flags.int("min") > 0 {
        spec.set("minReplicas", call.flags.int("min"));
    }
    if !metrics.is_empty() {
        spec.set("metrics", metrics.iter().cloned().collect::<Json>());
    }
    let mut object = Object(object! {
        "apiVersion" => "autoscaling/v2", "kind" => "HorizontalPodAutoscaler",
        "metadata" => object! { "name" => if name.is_empty() { info.name.as_str() } else { &name } },
        "spec" => spec, "status" => object! { "currentMetrics" => Json::Null, "desiredReplicas" => 0 },
    });
    let mut printer = Printer::of(call, writer.dry_run)?;
    if writer.dry_run == DryRun::Client {
        return printer.print(call, &object, "created");
    }
    mutation::save_config(&mut object, call.flags.on("save-config"));
    let resource = call.mapper()?.resolve("horizontalpodautoscalers.autoscaling")?;
    let namespace = call.namespace.clone();
    match writer.create(call, &resource, Some(&namespace), object.0) {
        Ok(created) => printer.print(call, &created, "autoscaled"),
        // kubectl then tries the older version of the API, which needs a target of CPU.
        Err(_) if call.flags.text("cpu").is_empty() => {
            Err("failed to create autoscaling/v2 HPA and the configuration is incompatible with autoscaling/v1: empty input".into())
        }
        Err(failure) => Err(failure),
    }
}
