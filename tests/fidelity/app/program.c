// Every container of the recording app runs this one static program; the name it is called by chooses what it does.
// See README.md for what each name logs, listens on and exits with. It resolves no host names.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static volatile sig_atomic_t asked_to_end;

static void on_term(int signal) { asked_to_end = 1; }

static void handle_term(void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler};   // no SA_RESTART: blocking calls return
  sigaction(SIGTERM, &action, 0);
  sigaction(SIGINT, &action, 0);
}

static void wait_for_term(void) {
  while (!asked_to_end) poll(0, 0, 1000);
}

// ---- servers and workers ----

static void reply(int client, const char *status, const char *body) {
  char text[512];
  int length = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                        status, strlen(body), body);
  if (write(client, text, length) < 0) return;
}

static void serve_one(int client, const char *health_status, const char *health_body) {
  char request[2048], method[8] = "", path[256] = "";
  ssize_t length = read(client, request, sizeof request - 1);
  if (length <= 0) return;
  request[length] = 0;
  if (sscanf(request, "%7s %255s", method, path) != 2) return;
  if (!strcmp(path, "/healthz")) {
    reply(client, health_status, health_body);
    return;
  }
  const char *greeting = getenv("GREETING");
  char body[256];
  snprintf(body, sizeof body, "%s\n", greeting ? greeting : "hello");
  int known = !strcmp(path, "/");
  reply(client, known ? "200 OK" : "404 Not Found", known ? body : "not found\n");
  printf("%s %s %s\n", method, path, known ? "200" : "404");
}

static int serve(const char *name, const char *health_status, const char *health_body) {
  const char *port_text = getenv("PORT");
  int port = port_text ? atoi(port_text) : 8080, yes = 1;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)) {
    fprintf(stderr, "%s: cannot listen on :%d\n", name, port);
    return 1;
  }
  handle_term(on_term);
  printf("%s: listening on :%d\n", name, port);
  while (!asked_to_end) {
    int client = accept(listener, 0, 0);
    if (client < 0) continue;
    serve_one(client, health_status, health_body);
    close(client);
  }
  printf("%s: shutting down\n", name);
  return 0;
}

static int web(int count, char **words) { return serve("web", "200 OK", "ok\n"); }
static int unready(int count, char **words) { return serve("unready", "503 Service Unavailable", "not ready\n"); }

static int idle(int count, char **words) {
  handle_term(on_term);
  wait_for_term();
  return 0;
}

static int stubborn(int count, char **words) {
  handle_term(SIG_IGN);
  printf("stubborn: started\n");
  while (pause()) {}
  return 0;
}

static int tick(int count, char **words) {
  handle_term(on_term);
  for (int i = 1; !asked_to_end; i++) {
    printf("tick %d\n", i);
    poll(0, 0, 1000);
  }
  return 0;
}

static int lines(int count, char **words) {
  int n = count > 1 ? atoi(words[1]) : 10;
  handle_term(on_term);
  for (int i = 1; i <= n; i++) printf("line %d\n", i);
  wait_for_term();
  return 0;
}

// ---- programs that end ----

static int crash(int count, char **words) {   // one stream only: two would arrive in any order
  fprintf(stderr, "crash: starting\n");
  fprintf(stderr, "crash: reading configuration\n");
  fprintf(stderr, "crash: ERROR cannot reach database at db:5432\n");
  return 1;
}

static int done(int count, char **words) {
  printf("done: started\n");
  printf("done: finished\n");
  return 0;
}

static int init(int count, char **words) {
  printf("init: prepared\n");
  return 0;
}

static int eat(int count, char **words) {
  printf("eat: allocating\n");
  for (char *block; (block = malloc(1 << 20));) memset(block, 1, 1 << 20);
  return 1;
}

static int later(int count, char **words) {   // later SECONDS EXIT_CODE
  int seconds = count > 1 ? atoi(words[1]) : 10, code = count > 2 ? atoi(words[2]) : 0;
  handle_term(on_term);
  printf("later: ends in %d s with %d\n", seconds, code);
  for (int i = 0; i < seconds * 10 && !asked_to_end; i++) poll(0, 0, 100);
  return asked_to_end ? 0 : code;
}

static int exit_with(int count, char **words) { return count > 1 ? atoi(words[1]) : 0; }

// ---- what people type after `exec --` ----

static int echo(int count, char **words) {
  for (int i = 1; i < count; i++) printf("%s%s", words[i], i + 1 < count ? " " : "");
  printf("\n");
  return 0;
}

static int cat(int count, char **words) {
  char block[4096];
  int code = 0;
  for (int i = count > 1 ? 1 : 0; i < (count > 1 ? count : 1); i++) {
    int file = count > 1 ? open(words[i], O_RDONLY) : 0;
    ssize_t length;
    if (file < 0) {
      fprintf(stderr, "cat: %s: No such file or directory\n", words[i]);
      code = 1;
      continue;
    }
    while ((length = read(file, block, sizeof block)) > 0) fwrite(block, 1, length, stdout);
    if (file) close(file);
  }
  return code;
}

static int env(int count, char **words) {
  for (char **item = environ; *item; item++) puts(*item);
  return 0;
}

static int printenv(int count, char **words) {
  const char *value = count > 1 ? getenv(words[1]) : 0;
  if (!value) return 1;
  puts(value);
  return 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int ls(int count, char **words) {
  const char *path = count > 1 ? words[1] : ".";
  DIR *directory = opendir(path);
  if (!directory) {
    fprintf(stderr, "ls: %s: No such file or directory\n", path);
    return 1;
  }
  char *names[256];
  int n = 0;
  for (struct dirent *item; n < 256 && (item = readdir(directory));)
    if (item->d_name[0] != '.') names[n++] = strdup(item->d_name);
  qsort(names, n, sizeof *names, by_name);
  for (int i = 0; i < n; i++) puts(names[i]);
  return 0;
}

static int hostname(int count, char **words) {
  char name[256];
  gethostname(name, sizeof name);
  puts(name);
  return 0;
}

static int fetch(int count, char **words) {   // fetch IP PORT PATH: prints the body; exit 1 when the status is not 200, 7 when refused
  if (count < 4) return 2;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2])), .sin_addr.s_addr = inet_addr(words[1])};
  int server = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(server, (struct sockaddr *)&address, sizeof address)) {
    fprintf(stderr, "fetch: cannot connect to %s:%s\n", words[1], words[2]);
    return 7;
  }
  char text[4096];
  int length = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", words[3], words[1]), got = 0;
  if (write(server, text, length) < 0) return 7;
  for (ssize_t more; (more = read(server, text + got, sizeof text - 1 - got)) > 0;) got += more;
  text[got] = 0;
  char *body = strstr(text, "\r\n\r\n");
  if (body) fputs(body + 4, stdout);
  return strstr(text, " 200 ") ? 0 : 1;
}

static const struct { const char *name; int (*run)(int, char **); } programs[] = {
    {"web", web},   {"unready", unready}, {"idle", idle},   {"stubborn", stubborn}, {"tick", tick}, {"lines", lines},
    {"crash", crash}, {"done", done},     {"init", init},   {"eat", eat},           {"later", later}, {"exit", exit_with},
    {"echo", echo}, {"cat", cat},         {"env", env},     {"printenv", printenv}, {"ls", ls},     {"hostname", hostname},
    {"fetch", fetch},
};

int main(int count, char **words) {
  setvbuf(stdout, 0, _IOLBF, 4096);
  const char *name = strrchr(words[0], '/');
  name = name ? name + 1 : words[0];
  for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
    if (!strcmp(programs[i].name, name)) return programs[i].run(count, words);
  fprintf(stderr, "%s: no such program\n", name);
  return 127;
}
