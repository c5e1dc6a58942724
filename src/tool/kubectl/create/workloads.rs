//! The objects of `create deployment`, `create job` and `create cronjob`: arguments in, object out.

use crate::object::{Json, Object};
use crate::{array, object};

/// A Deployment that runs one container for each image.
///
/// `suffix` draws what makes the name of a container unique when its image's name has to be changed to be a valid one.
pub fn deployment(name: &str, images: &[String], command: &[String], mut suffix: impl FnMut() -> String) -> Json {
    let containers = images.iter().map(|image| {
        let name = container_name(image, &mut suffix);
        container(&name, image, command)
    });
    object! {
        "apiVersion" => "apps/v1", "kind" => "Deployment",
        "metadata" => object! { "name" => name, "labels" => object! { "app" => name } },
        "spec" => object! {
            "replicas" => 1,
            "selector" => object! { "matchLabels" => object! { "app" => name } },
            "strategy" => object! {},
            "template" => object! {
                "metadata" => object! { "labels" => object! { "app" => name } },
                "spec" => object! { "containers" => containers.collect::<Json>() },
            },
        },
        "status" => object! {},
    }
}

/// The last element of an image's name without tag and digest, with `_` and `.` replaced.
fn container_name(image: &str, suffix: &mut impl FnMut() -> String) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    let bare = last.split(':').next().unwrap_or(last);
    let bare = bare.split('@').next().unwrap_or(bare);
    if bare.contains(['_', '.']) { format!("{}-{}", bare.replace(['_', '.'], "-"), suffix()) } else { bare.to_owned() }
}

fn container(name: &str, image: &str, command: &[String]) -> Json {
    let mut container = object! { "name" => name, "image" => image, "resources" => object! {} };
    if !command.is_empty() {
        container.set("command", command.iter().map(Json::from).collect::<Json>());
    }
    container
}

fn job_spec(name: &str, image: &str, command: &[String], restart: &str) -> Json {
    object! {
        "template" => object! {
            "metadata" => object! {},
            "spec" => object! { "containers" => array![container(name, image, command)], "restartPolicy" => restart },
        },
    }
}

/// A Job that runs one container once.
pub fn job(name: &str, image: &str, command: &[String]) -> Json {
    object! {
        "apiVersion" => "batch/v1", "kind" => "Job",
        "metadata" => object! { "name" => name },
        "spec" => job_spec(name, image, command, "Never"),
        "status" => object! {},
    }
}

/// A Job as its CronJob would have started it, marked as started by hand.
pub fn job_from(name: &str, cron_job: &Object) -> Json {
    let template = cron_job.at(&["spec", "jobTemplate"]);
    let mut annotations = object! { "cronjob.kubernetes.io/instantiate" => "manual" };
    for (key, value) in template.at(&["metadata", "annotations"]).entries() {
        annotations.set(key, value);
    }
    let owner = object! {
        "apiVersion" => "batch/v1", "kind" => "CronJob", "name" => cron_job.name(), "uid" => cron_job.uid(), "controller" => true,
    };
    let mut metadata = object! { "name" => name, "annotations" => annotations, "ownerReferences" => array![owner] };
    let labels = template.at(&["metadata", "labels"]);
    if !labels.is_empty() {
        metadata.set("labels", labels);
    }
    object! {
        "apiVersion" => "batch/v1", "kind" => "Job", "metadata" => metadata, "spec" => template.get("spec"), "status" => object! {},
    }
}

/// A CronJob that runs one container on a schedule.
pub fn cron_job(name: &str, image: &str, schedule: &str, restart: &str, command: &[String]) -> Json {
    object! {
        "apiVersion" => "batch/v1", "kind" => "CronJob",
        "metadata" => object! { "name" => name },
        "spec" => object! {
            "schedule" => schedule,
            "jobTemplate" => object! {
                "metadata" => object! { "name" => name },
                "spec" => job_spec(name, image, command, restart),
            },
        },
        "status" => object! {},
    }
}
