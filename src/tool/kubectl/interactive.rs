//! Verbs that need a terminal, an open connection or a cluster of another kind, and that are refused with what to use instead.

use super::command::{Call, Command};
use super::failure::Failure;
use super::flags::Flag;

/// Flags that these verbs have; they are read so that the refusal, not a flag, is what is answered.
static FLAGS: &[Flag] = &[
    Flag::text("address", "Addresses to listen on."),
    Flag::text("container", "The container.").short('c'),
    Flag::text("copy-to", "Name of a copy of the pod."),
    Flag::list("env", "Environment variable; may be repeated."),
    Flag::csv("filename", "Files with the objects.").short('f'),
    Flag::text("image", "Image to run."),
    Flag::text("kustomize", "Directory with a kustomization.").short('k'),
    Flag::text("output", "Output format.").short('o'),
    Flag::text("output-patch", "Print the patch."),
    Flag::text("pod-running-timeout", "How long to wait for a pod to run."),
    Flag::text("port", "Port to listen on.").short('p'),
    Flag::text("profile", "How the debugging container is set up."),
    Flag::switch("quiet", "Print nothing of one's own.").short('q'),
    Flag::switch("recursive", "Read directories with everything below them.").short('R'),
    Flag::switch("share-processes", "See the processes of the other containers."),
    Flag::switch("stdin", "Pass standard input on.").short('i'),
    Flag::text("target", "Container whose processes to see."),
    Flag::switch("tty", "Treat standard input as a terminal.").short('t'),
    Flag::switch("attach", "Print what the container prints."),
];

macro_rules! refused {
    ($($name:ident $run:ident $path:literal $usage:literal $about:literal $instead:literal;)*) => {
        $(
            #[doc = concat!("`", $path, "`.")]
            pub static $name: Command = Command::leaf($path, $usage, $about, &[FLAGS], $run);

            fn $run(_: &mut Call<'_, '_>) -> Result<(), Failure> {
                Err($instead.into())
            }
        )*
    };
}

refused! {
    EDIT edit "kubectl edit" "(RESOURCE/NAME | -f FILENAME)" "Edit a resource on the server"
        "kubectl edit opens an editor and is not available here; use kubectl patch, kubectl set or kubectl apply -f instead";
    ATTACH attach "kubectl attach" "(POD | TYPE/NAME) -c CONTAINER" "Attach to a running container"
        "kubectl attach is interactive and not available here; use kubectl logs for what a container prints and kubectl exec to run a command in it";
    PORT_FORWARD port_forward "kubectl port-forward"
        "TYPE/NAME [options] [LOCAL_PORT:]REMOTE_PORT [...[LOCAL_PORT_N:]REMOTE_PORT_N]" "Forward one or more local ports to a pod"
        "kubectl port-forward holds a connection open and is not available here; reach the port from inside, with kubectl exec POD -- curl \
         http://localhost:PORT or kubectl run tmp --rm -i --restart=Never --image=curlimages/curl -- curl http://SERVICE:PORT";
    PROXY proxy "kubectl proxy" "[--port=PORT] [--www=static-dir] [--www-prefix=prefix] [--api-prefix=prefix]"
        "Run a proxy to the Kubernetes API server"
        "kubectl proxy holds a connection open and is not available here; use kubectl get --raw PATH";
    DEBUG debug "kubectl debug" "(POD | TYPE[[.VERSION].GROUP]/NAME) [ -- COMMAND [args...] ]"
        "Create debugging sessions for troubleshooting workloads and nodes"
        "kubectl debug is interactive and not available here; use kubectl exec, or kubectl run tmp --rm -i --restart=Never --image=IMAGE -- \
         COMMAND for tools of another image";
    CERTIFICATE certificate "kubectl certificate" "SUBCOMMAND" "Modify certificate resources"
        "there are no certificate signing requests to decide on here";
    KUSTOMIZE kustomize "kubectl kustomize" "DIR" "Build a kustomization target from a directory or URL"
        "kustomizations are not available here; use plain manifests with kubectl apply -f";
    COMPLETION completion "kubectl completion" "SHELL"
        "Output shell completion code for the specified shell (bash, zsh, fish, or powershell)"
        "shell completion is not available here";
    PLUGIN plugin "kubectl plugin" "[flags]" "Provides utilities for interacting with plugins"
        "unable to find any kubectl plugins in your PATH";
}
