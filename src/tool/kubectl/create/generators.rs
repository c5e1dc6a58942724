//! The generators of `kubectl create`: flags to arguments of the functions that make objects.

use super::config::{self, RegistryArguments, Sources};
use super::policies::{self, BudgetArguments, PriorityArguments, Subjects};
use super::services::{self, IngressArguments, ServiceArguments};
use super::{MANAGER, generate, roles, token, workloads};
use crate::object::{Json, Object};
use crate::rng::Key;
use crate::tool::kubectl::builder::Builder;
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::mutation::{DRY_RUN, SAVE_CONFIG, VALIDATE, require};
use crate::tool::kubectl::pods::go_type;
use crate::tool::kubectl::printing::PRINT;
use crate::tool::kubectl::set::{quantity, selector};

/// One generator: its flags, and what all generators share.
macro_rules! generator {
    ($name:ident, $path:literal, $usage:literal, $about:literal, $run:path, [$($flag:expr),* $(,)?]) => {
        static $name: Command = Command::leaf(
            $path, $usage, $about,
            &[&[$($flag),*], PRINT, SAVE_CONFIG, VALIDATE, DRY_RUN, MANAGER],
            $run,
        );
    };
    ($name:ident, $path:literal, $usage:literal, $about:literal, $run:path, [$($flag:expr),* $(,)?], aliases $aliases:expr) => {
        static $name: Command = Command::leaf(
            $path, $usage, $about,
            &[&[$($flag),*], PRINT, SAVE_CONFIG, VALIDATE, DRY_RUN, MANAGER],
            $run,
        )
        .aliases($aliases);
    };
}

const IMAGE: Flag = Flag::text("image", "Image to run.");
const TCP: Flag = Flag::csv("tcp", "Port pairs, PORT:TARGETPORT; may be repeated.");
const HASH: Flag = Flag::switch("append-hash", "Append a hash of the content to the name.");
const USER: Flag = Flag::list("user", "User to bind; may be repeated.");
const GROUP: Flag = Flag::list("group", "Group to bind; may be repeated.");
const ACCOUNT: Flag = Flag::list("serviceaccount", "Service account to bind, NAMESPACE:NAME; may be repeated.");
const FROM_FILE: Flag = Flag::csv("from-file", "File, KEY=FILE or directory whose content is taken; may be repeated.");
const FROM_LITERAL: Flag = Flag::list("from-literal", "KEY=VALUE; may be repeated.");
const FROM_ENV_FILE: Flag = Flag::csv("from-env-file", "File with lines KEY=VALUE; may be repeated.");

generator!(
    NAMESPACE,
    "kubectl create namespace",
    "NAME [--dry-run=server|client|none]",
    "Create a namespace with the specified name",
    run_namespace,
    [],
    aliases & ["ns"]
);
generator!(
    QUOTA,
    "kubectl create quota",
    "NAME [--hard=key1=value1,key2=value2] [--scopes=Scope1,Scope2] [--dry-run=server|client|none]",
    "Create a quota with the specified name",
    run_quota,
    [Flag::text("hard", "Limits, RESOURCE=QUANTITY,…"), Flag::text("scopes", "Scopes that an object must be in, with commas.")],
    aliases & ["resourcequota"]
);
generator!(
    CONFIG_MAP,
    "kubectl create configmap",
    "NAME [--from-file=[key=]source] [--from-literal=key1=value1] [--dry-run=server|client|none]",
    "Create a config map from a local file, directory or literal value",
    run_config_map,
    [FROM_FILE, FROM_LITERAL, FROM_ENV_FILE, HASH],
    aliases & ["cm"]
);
generator!(
    SECRET_GENERIC,
    "kubectl create secret generic",
    "NAME [--type=string] [--from-file=[key=]source] [--from-literal=key1=value1] [--dry-run=server|client|none]",
    "Create a secret from a local file, directory, or literal value",
    run_secret,
    [FROM_FILE, FROM_LITERAL, FROM_ENV_FILE, HASH, Flag::text("type", "Type of the secret.")]
);
generator!(
    SECRET_REGISTRY,
    "kubectl create secret docker-registry",
    "NAME --docker-username=user --docker-password=password --docker-email=email [--docker-server=string] [--from-file=[key=]source] \
     [--dry-run=server|client|none]",
    "Create a secret for use with a Docker registry",
    run_registry_secret,
    [
        Flag::text("docker-username", "User name at the registry."),
        Flag::text("docker-password", "Password at the registry."),
        Flag::text("docker-email", "Mail address at the registry."),
        Flag::text("docker-server", "The registry.").default("https://index.docker.io/v1/"),
        FROM_FILE,
        HASH,
    ]
);
generator!(
    SECRET_TLS,
    "kubectl create secret tls",
    "NAME --cert=path/to/cert/file --key=path/to/key/file [--dry-run=server|client|none]",
    "Create a TLS secret",
    run_tls_secret,
    [Flag::text("cert", "File with the certificate, PEM."), Flag::text("key", "File with its private key, PEM."), HASH]
);
generator!(
    SERVICE_ACCOUNT,
    "kubectl create serviceaccount",
    "NAME [--dry-run=server|client|none]",
    "Create a service account with the specified name",
    run_service_account,
    [],
    aliases & ["sa"]
);
generator!(
    CLUSTER_IP,
    "kubectl create service clusterip",
    "NAME [--tcp=<port>:<targetPort>] [--dry-run=server|client|none]",
    "Create a ClusterIP service",
    run_cluster_ip,
    [TCP, Flag::text("clusterip", "The IP, or None for a headless Service.")]
);
generator!(
    NODE_PORT,
    "kubectl create service nodeport",
    "NAME [--tcp=port:targetPort] [--dry-run=server|client|none]",
    "Create a NodePort service",
    run_node_port,
    [TCP, Flag::int("node-port", "0", "Port on each node.")]
);
generator!(
    LOAD_BALANCER,
    "kubectl create service loadbalancer",
    "NAME [--tcp=port:targetPort] [--dry-run=server|client|none]",
    "Create a LoadBalancer service",
    run_load_balancer,
    [TCP]
);
generator!(
    EXTERNAL_NAME,
    "kubectl create service externalname",
    "NAME --external-name external.name [--dry-run=server|client|none]",
    "Create an ExternalName service",
    run_external_name,
    [TCP, Flag::text("external-name", "The name outside the cluster.")]
);
generator!(
    DEPLOYMENT,
    "kubectl create deployment",
    "NAME --image=image -- [COMMAND] [args...]",
    "Create a deployment with the specified name",
    run_deployment,
    [
        Flag::csv("image", "Images to run, one container each."),
        Flag::int32("port", "-1", "Port of the first container."),
        Flag::int32("replicas", "1", "Number of replicas.").short('r'),
    ],
    aliases & ["deploy"]
);
generator!(
    CLUSTER_ROLE_BINDING,
    "kubectl create clusterrolebinding",
    "NAME --clusterrole=NAME [--user=username] [--group=groupname] [--serviceaccount=namespace:serviceaccountname] \
     [--dry-run=server|client|none]",
    "Create a cluster role binding for a particular cluster role",
    run_cluster_role_binding,
    [Flag::text("clusterrole", "The ClusterRole."), USER, GROUP, ACCOUNT]
);
generator!(
    ROLE_BINDING,
    "kubectl create rolebinding",
    "NAME --clusterrole=NAME|--role=NAME [--user=username] [--group=groupname] [--serviceaccount=namespace:serviceaccountname] \
     [--dry-run=server|client|none]",
    "Create a role binding for a particular role or cluster role",
    run_role_binding,
    [Flag::text("clusterrole", "The ClusterRole."), Flag::text("role", "The Role."), USER, GROUP, ACCOUNT]
);
generator!(
    ROLE,
    "kubectl create role",
    "NAME --verb=verb --resource=resource.group/subresource [--resource-name=resourcename] [--dry-run=server|client|none]",
    "Create a role with single rule",
    roles::run_role,
    [
        Flag::csv("verb", "Verbs of the rule."),
        Flag::csv("resource", "Resources of the rule."),
        Flag::list("resource-name", "Names of the rule; may be repeated."),
    ]
);
generator!(
    CLUSTER_ROLE,
    "kubectl create clusterrole",
    "NAME --verb=verb --resource=resource.group [--resource-name=resourcename] [--dry-run=server|client|none]",
    "Create a cluster role",
    roles::run_cluster_role,
    [
        Flag::csv("verb", "Verbs of the rule."),
        Flag::csv("resource", "Resources of the rule."),
        Flag::list("resource-name", "Names of the rule; may be repeated."),
        Flag::csv("non-resource-url", "Paths of the rule."),
        Flag::csv("aggregation-rule", "Labels of the ClusterRoles that are combined."),
    ]
);
generator!(
    BUDGET,
    "kubectl create poddisruptionbudget",
    "NAME --selector=SELECTOR --min-available=N [--dry-run=server|client|none]",
    "Create a pod disruption budget with the specified name",
    run_budget,
    [
        Flag::text("min-available", "Least number or percentage of available pods."),
        Flag::text("max-unavailable", "Greatest number or percentage of unavailable pods."),
        Flag::text("selector", "Labels of the pods."),
    ],
    aliases & ["pdb"]
);
generator!(
    PRIORITY,
    "kubectl create priorityclass",
    "NAME --value=VALUE --global-default=BOOL [--dry-run=server|client|none]",
    "Create a priority class with the specified name",
    run_priority,
    [
        Flag::int32("value", "0", "The priority."),
        Flag::switch("global-default", "Use it for pods without a class."),
        Flag::text("description", "When to use it."),
        Flag::text("preemption-policy", "Whether it preempts pods of lower priority.").default("PreemptLowerPriority"),
    ],
    aliases & ["pc"]
);
generator!(
    JOB,
    "kubectl create job",
    "NAME --image=image [--from=cronjob/name] -- [COMMAND] [args...]",
    "Create a job with the specified name",
    run_job,
    [IMAGE, Flag::text("from", "The CronJob to start a job of, cronjob/NAME.")]
);
generator!(
    CRON_JOB,
    "kubectl create cronjob",
    "NAME --image=image --schedule='0/5 * * * ?' -- [COMMAND] [args...] [flags]",
    "Create a cron job with the specified name",
    run_cron_job,
    [IMAGE, Flag::text("schedule", "When, in cron's form."), Flag::text("restart", "Restart policy: OnFailure or Never.")],
    aliases & ["cj"]
);
generator!(
    INGRESS,
    "kubectl create ingress",
    "NAME --rule=host/path=service:port[,tls[=secret]] ",
    "Create an ingress with the specified name",
    run_ingress,
    [
        Flag::text("class", "The ingress class."),
        Flag::text("default-backend", "Service for everything else, NAME:PORT."),
        Flag::list("rule", "HOST/PATH=SERVICE:PORT[,tls[=SECRET]]; may be repeated."),
        Flag::list("annotation", "KEY=VALUE; may be repeated."),
    ],
    aliases & ["ing"]
);

static SERVICE: Command = Command::group(
    "kubectl create service",
    "[flags]",
    "Create a service using a specified subcommand",
    &[&CLUSTER_IP, &EXTERNAL_NAME, &LOAD_BALANCER, &NODE_PORT],
)
.aliases(&["svc"]);
static SECRET: Command = Command::group(
    "kubectl create secret",
    "(docker-registry | generic | tls)",
    "Create a secret using a specified subcommand",
    &[&SECRET_REGISTRY, &SECRET_GENERIC, &SECRET_TLS],
);

/// All generators, in the order of kubectl's help.
pub(super) static COMMANDS: &[&Command] = &[
    &CLUSTER_ROLE,
    &CLUSTER_ROLE_BINDING,
    &CONFIG_MAP,
    &CRON_JOB,
    &DEPLOYMENT,
    &INGRESS,
    &JOB,
    &NAMESPACE,
    &BUDGET,
    &PRIORITY,
    &QUOTA,
    &ROLE,
    &ROLE_BINDING,
    &SECRET,
    &SERVICE,
    &SERVICE_ACCOUNT,
    &token::COMMAND,
];

type Outcome = Result<(), Failure>;

fn run_namespace(call: &mut Call<'_, '_>) -> Outcome {
    generate(call, "", |_, name| Ok(policies::namespace(name)))
}

fn run_service_account(call: &mut Call<'_, '_>) -> Outcome {
    generate(call, "failed to create serviceaccount:", |_, name| Ok(policies::service_account(name)))
}

fn run_quota(call: &mut Call<'_, '_>) -> Outcome {
    let (hard, scopes) = (call.flags.text("hard"), call.flags.text("scopes"));
    generate(call, "failed to create quota:", |_, name| Ok(policies::quota(name, &hard, &scopes, quantity)?))
}

fn run_config_map(call: &mut Call<'_, '_>) -> Outcome {
    let (files, literals, env_files) = sources(call);
    let sources = Sources { files: &files, literals: &literals, env_files: &env_files };
    generate(call, "failed to create configmap:", |call, name| {
        without_hash(call)?;
        Ok(config::config_map(name, &sources, call.cx.files)?)
    })
}

fn sources(call: &Call<'_, '_>) -> (Vec<String>, Vec<String>, Vec<String>) {
    (call.flags.list("from-file"), call.flags.list("from-literal"), call.flags.list("from-env-file"))
}

fn without_hash(call: &Call<'_, '_>) -> Outcome {
    if call.flags.on("append-hash") { Err("--append-hash is not available here; give the name yourself".into()) } else { Ok(()) }
}

fn run_secret(call: &mut Call<'_, '_>) -> Outcome {
    let (files, literals, env_files) = sources(call);
    let sources = Sources { files: &files, literals: &literals, env_files: &env_files };
    let kind = call.flags.text("type");
    generate(call, "failed to create secret", |call, name| {
        without_hash(call)?;
        Ok(config::secret(name, &kind, &sources, call.cx.files)?)
    })
}

fn run_registry_secret(call: &mut Call<'_, '_>) -> Outcome {
    let flag = |name| call.flags.text(name);
    let (server, username, password, email) =
        (flag("docker-server"), flag("docker-username"), flag("docker-password"), flag("docker-email"));
    let files = call.flags.list("from-file");
    let args = RegistryArguments { server: &server, username: &username, password: &password, email: &email, files: &files };
    generate(call, "failed to create secret", |call, name| {
        without_hash(call)?;
        Ok(config::registry_secret(name, &args, call.cx.files)?)
    })
}

fn run_tls_secret(call: &mut Call<'_, '_>) -> Outcome {
    let (cert, key) = (call.flags.text("cert"), call.flags.text("key"));
    generate(call, "failed to create secret", |call, name| {
        without_hash(call)?;
        Ok(config::tls_secret(name, &cert, &key, call.cx.files)?)
    })
}

fn run_cluster_ip(call: &mut Call<'_, '_>) -> Outcome {
    let cluster_ip = call.flags.text("clusterip");
    service(call, ServiceArguments { kind: "ClusterIP", cluster_ip: &cluster_ip, ..ServiceArguments::default() })
}

fn run_node_port(call: &mut Call<'_, '_>) -> Outcome {
    let node_port = call.flags.int("node-port");
    service(call, ServiceArguments { kind: "NodePort", node_port, ..ServiceArguments::default() })
}

fn run_load_balancer(call: &mut Call<'_, '_>) -> Outcome {
    service(call, ServiceArguments { kind: "LoadBalancer", ..ServiceArguments::default() })
}

fn run_external_name(call: &mut Call<'_, '_>) -> Outcome {
    require(call, &["external-name"])?;
    let external_name = call.flags.text("external-name");
    service(call, ServiceArguments { kind: "ExternalName", external_name: &external_name, ..ServiceArguments::default() })
}

fn service(call: &mut Call<'_, '_>, args: ServiceArguments<'_>) -> Outcome {
    let tcp = call.flags.list("tcp");
    let failed = format!("failed to create {} service:", args.kind);
    let args = ServiceArguments { tcp: &tcp, ..args };
    generate(call, &failed, |_, name| Ok(services::service(name, &args)?))
}

/// What stands behind the name.
fn command_of(call: &Call<'_, '_>) -> Vec<String> {
    call.args.get(1..).unwrap_or_default().to_vec()
}

fn run_deployment(call: &mut Call<'_, '_>) -> Outcome {
    require(call, &["image"])?;
    let (images, command) = (call.flags.list("image"), command_of(call));
    let (port, replicas) = (call.flags.int("port"), call.flags.int("replicas"));
    generate(call, "failed to create deployment:", |call, name| {
        if images.len() > 1 && !command.is_empty() {
            return Err("cannot specify multiple --image options and command".into());
        }
        let mut stream = Key::new(call.now().as_nanos()).part("container name").stream();
        let mut object = workloads::deployment(name, &images, &command, || stream.name_suffix(5));
        object.set_at(&["spec", "replicas"], replicas);
        let containers = object.at_mut(&["spec", "template", "spec", "containers"]).items_mut();
        if let Some(first) = containers.first_mut().filter(|_| port >= 0) {
            first.get_mut("ports").push(crate::object! { "containerPort" => port });
        }
        Ok(object)
    })
}

fn run_job(call: &mut Call<'_, '_>) -> Outcome {
    let (image, from, command) = (call.flags.text("image"), call.flags.text("from"), command_of(call));
    generate(call, "failed to create job:", |call, name| {
        if image.is_empty() == from.is_empty() {
            return Err("either --image or --from must be specified".into());
        }
        if !command.is_empty() && !from.is_empty() {
            return Err("cannot specify --from and command".into());
        }
        if from.is_empty() {
            return Ok(workloads::job(name, &image, &command));
        }
        let found = Builder::new(call).types_or_names(call, false, std::slice::from_ref(&from)).latest().fetch(call)?.objects()?;
        let [info] = found.as_slice() else { return Err("from must be an existing cronjob".into()) };
        let cron_job: &Object = &info.object;
        match cron_job.kind() {
            "CronJob" => Ok(workloads::job_from(name, cron_job)),
            _ => Err(format!("unknown object type {}", go_type(cron_job)).into()),
        }
    })
}

fn run_cron_job(call: &mut Call<'_, '_>) -> Outcome {
    require(call, &["image", "schedule"])?;
    let (image, schedule, command) = (call.flags.text("image"), call.flags.text("schedule"), command_of(call));
    let restart = call.flags.text("restart");
    let restart = if restart.is_empty() { "OnFailure" } else { &restart };
    generate(call, "failed to create cronjob:", |_, name| Ok(workloads::cron_job(name, &image, &schedule, restart, &command)))
}

fn run_ingress(call: &mut Call<'_, '_>) -> Outcome {
    let (class, default_backend) = (call.flags.text("class"), call.flags.text("default-backend"));
    let (rules, annotations) = (call.flags.list("rule"), call.flags.list("annotation"));
    let args = IngressArguments { class: &class, default_backend: &default_backend, rules: &rules, annotations: &annotations };
    generate(call, "failed to create ingress:", |_, name| Ok(services::ingress(name, &args)?))
}

fn run_budget(call: &mut Call<'_, '_>) -> Outcome {
    let flag = |name| call.flags.text(name);
    let (selector, min_available, max_unavailable) = (flag("selector"), flag("min-available"), flag("max-unavailable"));
    let args = BudgetArguments { selector: &selector, min_available: &min_available, max_unavailable: &max_unavailable };
    generate(call, "failed to create poddisruptionbudgets:", |_, name| {
        Ok(policies::disruption_budget(name, &args, selector::label_selector)?)
    })
}

fn run_priority(call: &mut Call<'_, '_>) -> Outcome {
    let (description, policy) = (call.flags.text("description"), call.flags.text("preemption-policy"));
    let args = PriorityArguments {
        value: call.flags.int("value"),
        global_default: call.flags.on("global-default"),
        description: &description,
        preemption_policy: &policy,
    };
    generate(call, "failed to create priorityclass:", |_, name| Ok(policies::priority_class(name, &args)))
}

fn run_role_binding(call: &mut Call<'_, '_>) -> Outcome {
    let (role, cluster_role) = (call.flags.text("role"), call.flags.text("clusterrole"));
    binding(call, "failed to create rolebinding:", |name, subjects| {
        if role.is_empty() == cluster_role.is_empty() {
            return Err("exactly one of clusterrole or role must be specified".to_owned());
        }
        let referred = if role.is_empty() { ("ClusterRole", cluster_role.as_str()) } else { ("Role", role.as_str()) };
        policies::binding("RoleBinding", name, referred, subjects)
    })
}

fn run_cluster_role_binding(call: &mut Call<'_, '_>) -> Outcome {
    require(call, &["clusterrole"])?;
    let role = call.flags.text("clusterrole");
    binding(call, "failed to create clusterrolebinding:", |name, subjects| {
        policies::binding("ClusterRoleBinding", name, ("ClusterRole", &role), subjects)
    })
}

fn binding(call: &mut Call<'_, '_>, failed: &str, make: impl FnOnce(&str, &Subjects<'_>) -> Result<Json, String>) -> Outcome {
    let (users, groups, accounts) = (call.flags.list("user"), call.flags.list("group"), call.flags.list("serviceaccount"));
    let subjects = Subjects { users: &users, groups: &groups, service_accounts: &accounts };
    generate(call, failed, |_, name| Ok(make(name, &subjects)?))
}
