package masktest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Secrets are values with secrets in them, made with the given seed.
func Secrets(seed uint64) []Case {
	b := &builder{random: rand.New(rand.NewPCG(seed, seed))}
	b.variables()
	b.tokens()
	b.urls()
	b.documents()
	b.commands()
	b.injectors()
	b.places()
	return b.cases
}

func env(name string) string { return "env[" + name + "].value" }

// variables have telling names.
func (b *builder) variables() {
	for _, name := range []string{
		"DB_PASSWORD", "MYSQL_PWD", "PGPASSWORD", "REDIS_PASS", "spring.datasource.password", "POSTGRES_PASSWORD_PROD", "KEYSTORE_PASSPHRASE",
		"MYSQL_ROOT_PASSWORD", "smtpPassword", "ADMIN_PASSWD", "LDAP_BIND_CREDENTIALS", "BASIC_AUTH_PASSWORD_VALUE", "requirepass",
		"DB_PW", "ROOT_PW", "SSHPASS", "HASH_PEPPER",
	} {
		b.add(env(name), b.password())
	}
	for _, name := range []string{
		"ENCRYPTION_KEY", "SECRET_KEY_BASE", "DJANGO_SECRET_KEY", "API_KEY", "X_API_KEY", "DATADOG_API_KEY", "JWT_SIGNING_KEY", "SESSION_SECRET",
		"STORAGE_ACCOUNT_KEY", "AWS_SECRET_ACCESS_KEY", "CLIENT_SECRET", "WEBHOOK_TOKEN", "HMAC_KEY", "NPM_AUTH_TOKEN", "CONSUL_HTTP_TOKEN", "FERNET_KEY",
		"APPLICATION_CREDENTIALS", "LICENSE_KEY", "apikey", "newRelicLicenseKey", "SENTRY_AUTH", "SESSION_COOKIE", "DEPLOY_PAT",
	} {
		b.add(env(name), b.secret(b.of(alnum, 32)))
	}
	b.add(env("AUTH_TOKEN"), b.secret(b.of(hex, 8), "-", b.of(hex, 4), "-4", b.of(hex, 3), "-a", b.of(hex, 3), "-", b.of(hex, 12)))
	b.add("env[VAULT_TOKENS]", object{"name": "VAULT_TOKENS", "value": b.secret(b.of(alnum, 24))})
	b.add("env[PIN_PASSWORD]", object{"value": b.secret(b.of(digits, 6)), "name": "PIN_PASSWORD"})
}

// tokens have formats that tell, whatever their name.
func (b *builder) tokens() {
	for _, parts := range [][]string{
		{"gh", "p_", b.of(alnum, 36)}, {"github", "_pat_", b.of(alnum, 22) + "_" + b.of(alnum, 59)}, {"gl", "pat-", b.of(alnum, 20)},
		{"hv", "s.", "CAESI" + b.of(alnum, 90)}, {"hv", "s.", b.of(alnum, 24)}, {"xo", "xb-", b.of(digits, 12) + "-" + b.of(digits, 12) + "-" + b.of(alnum, 24)},
		{"sk", "_live_", b.of(alnum, 24)}, {"AK", "IA", b.of(upper+"234567", 16)}, {"AI", "za", b.of(alnum, 35)}, {"np", "m_", b.of(alnum, 36)},
		{"SG", ".", b.of(alnum, 22) + "." + b.of(alnum, 43)}, {"dop", "_v1_", b.of(hex, 64)}, {"shp", "at_", b.of(hex, 32)}, {"gl", "sa_", b.of(alnum, 32) + "_" + b.of(hex, 8)},
		{"sk-", "ant-api03-", b.of(alnum, 93) + "AA"}, {"dck", "r_pat_", b.of(alnum, 27)}, {"$2", "b$12$", b.of(alnum, 53)},
	} {
		b.add(env("SETTING"), b.secret(parts...))
	}
	b.add(env("X"), b.jwt())
	b.add(env("X"), b.pem("RSA "+"PRIVATE KEY"))
	b.add(env("TLS"), b.pem("EC "+"PRIVATE KEY"))
	b.add(env("SSH_IDENTITY"), b.pem("OPENSSH "+"PRIVATE KEY"))
	b.add(env("DATADOG"), b.secret(b.of(hex, 40)))
	b.add(env("CHAT"), "https://hooks.slack.com/services/"+b.secret("T", b.of(upper+digits, 8), "/B", b.of(upper+digits, 8), "/", b.of(alnum, 24)))
}

// urls have passwords in them; the rest stays readable.
func (b *builder) urls() {
	for _, form := range []string{
		"postgres://app:%s@db.example.com:5432/shop?sslmode=require", "redis://:%s@redis:6379/0", "amqp://user:%s@rabbit:5672/vhost",
		"mongodb+srv://app:%s@cluster0.mongodb.net/test?retryWrites=true", "https://robot:%s@registry.example.com/v2/",
		"app:%s@tcp(mysql:3306)/shop?parseTime=true", "host=db user=app password=%s dbname=shop sslmode=disable",
		"Server=tcp:sql.example.com,1433;Database=shop;User ID=app;Password=%s;Encrypt=true", "jdbc:mysql://db:3306/shop?user=app&password=%s&useSSL=true",
		"Driver={ODBC Driver 18};Server=sql;Uid=app;Pwd=%s;", "scott/%s@//oracle:1521/ORCL", "sqlserver://sa:%s@sql:1433?database=shop",
		"https://db.example.com/?user=app&passw%%6Frd=%s", "https://db.example.com/?%%70assword=%s", "db.example.com:5432:shop:app:%s",
	} {
		b.add(env("DATABASE_URL"), fmt.Sprintf(form, b.password()))
	}
	b.add(env("DSN"), "postgres://app:"+b.secret("p@ss/w#rd", b.of(digits, 3))+"@db:5432/shop")
	b.add(env("SENTRY_DSN"), "https://"+b.secret(b.of(hex, 32))+"@o12345.ingest.sentry.io/67890")
	b.add(env("QUEUE"), "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey="+b.secret(b.of(alnum, 43), "="))
	b.add(env("BLOB"), "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey="+b.secret(b.of(alnum, 86), "==")+";EndpointSuffix=core.windows.net")
	b.add(env("CALLBACK"), "https://api.example.com/hook?user=web&access_token="+b.secret(b.of(alnum, 32))+"&page=2")
	b.add(env("UPLOAD"), "https://shop.blob.core.windows.net/c?sv=2022-11-02&se=2026-01-01&sr=c&sp=rw&sig="+b.secret(b.of(alnum, 43), "%3D"))
	b.add(env("GIT_REPO"), "https://"+b.secret("gh", "p_", b.of(alnum, 36))+"@github.com/example/shop.git")
}

// documents hold secrets at one of their keys.
func (b *builder) documents() {
	b.add(env("CONFIG"), compact(object{"host": "db", "port": 5432, "password": b.password()}))
	b.add(env("CONFIG"), compact(object{"oauth": object{"client_id": "web", "client_secret": b.secret(b.of(alnum, 40))}}))
	b.add(env("CONFIG"), compact(object{"pin_password": 1234567890, "note": b.secret("gh", "p_", b.of(alnum, 36))}))
	b.add(env("SETTINGS"), b.base64(compact(object{"api": object{"token": b.secret(b.of(alnum, 30))}})))
	b.add(env("SETTINGS"), b.base64(b.base64(compact(object{"password": b.password()}))))
	b.add(env("SETTINGS"), compact(object{"inner": b.base64("db:\n  user: app\n  password: " + b.password() + "\n")}))
	b.add(env("APP_YAML"), "server:\n  port: 8080\ndatabase:\n  user: app\n  password: "+b.password()+"\n  pool: 10\n")
	b.add(env("APP_YAML"), "tls:\n  key: |\n"+indented(b.pem("PRIVATE "+"KEY"), "    ")+"  cert: /etc/tls/tls.crt\n")
	b.add(env("APP_YAML"), "auth:\n  token: >-\n    "+b.secret(b.of(alnum, 40))+"\n  ttl: 1h\n")
	b.add(env("APP_YAML"), "env:\n- name: DB_PASSWORD\n  value: "+b.password()+"\n- name: DB_HOST\n  value: db\n")
	b.add(env("APP_PROPERTIES"), "spring.datasource.url=jdbc:h2:mem\nspring.datasource.password="+b.password()+"\nserver.port=8080\n")
	b.add(env("APP_TOML"), "[db]\nuser = \"app\"\npassword = \""+b.password()+"\"\n[log]\nlevel = \"info\"\n")
	b.add(env("APP_HCL"), "storage \"s3\" {\n  bucket = \"vault\"\n  secret_key = \""+b.secret(b.of(alnum, 40))+"\"\n}\n")
	b.add(env("DOCKER_AUTH_CONFIG"), compact(object{"auths": object{"registry.example.com": object{"auth": b.base64("robot:" + b.password())}}}))
	b.add(env("GOOGLE"), compact(object{"type": "service_account", "project_id": "shop", "private_key": b.pem("PRIVATE " + "KEY"), "client_email": "web@shop.iam.gserviceaccount.com"}))
	b.add(env("AWS_CREDENTIALS"), "[default]\naws_access_key_id = "+b.secret("AK", "IA", b.of(upper+"234567", 16))+"\naws_secret_access_key = "+b.secret(b.of(alnum, 40))+"\n")
	b.add(env("SERVICE_CREDENTIALS"), compact(object{"user": "web", "word": b.secret(b.of(alnum, 20))}))
	b.add(env("NETRC"), "machine git.example.com login web password "+b.password())
	b.add(env("HTPASSWD_LINE"), "admin:"+b.secret("$2", "y$10$", b.of(alnum, 53)))
	b.add(env("WRAPPED"), strings.Join(wrapped(b.base64(compact(object{"password": b.password(), "hosts": "db-0.db.shop.svc.cluster.local,db-1.db.shop.svc.cluster.local"})), 40), "\n"))
}

func indented(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+by) + "\n"
}

func wrapped(text string, width int) []string {
	var lines []string
	for ; len(text) > width; text = text[width:] {
		lines = append(lines, text[:width])
	}
	return append(lines, text)
}

// commands have secrets among their arguments.
func (b *builder) commands() {
	b.add("args", list{"--password=" + b.password(), "--user=app", "--port=8080"})
	b.add("args", list{"--token", b.secret(b.of(alnum, 30)), "--verbose"})
	b.add("args", list{"-u", "web:" + b.password(), "https://example.com/"})
	b.add("args", list{"--set", "auth.password=" + b.password()})
	b.add("args", list{"--config=" + compact(object{"level": "debug", "password": b.password()})})
	b.add("args", list{"--config", b.base64(compact(object{"clientSecret": b.secret(b.of(alnum, 20))}))})
	b.add("args", list{"-Dspring.datasource.password=" + b.password(), "-Xmx512m"})
	b.add("args", list{"DB_PASSWORD=" + b.password(), "LEVEL=info"})
	b.add("command", list{"sh", "-c", "mysql -h db -u app --password=" + b.password() + " shop < /dump.sql"})
	b.add("command", list{"sh", "-c", "export API_KEY='" + b.secret(b.of(alnum, 24)) + "' && exec /app --port 8080"})
	b.add("command", list{"sh", "-c", "curl -H \"Authorization: Bearer " + b.secret(b.of(alnum, 40)) + "\" https://example.com/ready"})
	b.add("command", list{"sh", "-c", "curl -fsS -u monitor:" + b.password() + " http://localhost:8080/ready"})
	b.add("command", list{"sh", "-c", "curl -d '{\"user\":\"web\",\"password\":\"" + b.password() + "\"}' http://localhost/"})
	b.add("command", list{"sh", "-c", "redis-cli -h redis -a " + b.password() + " ping"})
	b.add("command", list{"sh", "-c", "mongosh -u app -p " + b.password() + " --eval 'db.stats()'"})
	b.add("command", list{"sh", "-c", "docker login -u app -p " + b.password() + " registry.example.com"})
	b.add("command", list{"sh", "-c", "curl -fs -umonitor:" + b.password() + " http://localhost:8080/ready"})
	b.add("command", list{"sh", "-c", "ldapsearch -x -D cn=app -w " + b.password() + " -b dc=shop"})
	b.add("command", list{"sh", "-c", "redis-cli -h redis --pass " + b.password() + " ping"})
	b.add("command", list{"sh", "-c", "echo " + b.base64("token="+b.secret(b.of(alnum, 30))) + " | base64 -d > /etc/config"})
	b.add("command", list{"sh", "-c", "cat <<EOF > /etc/app.conf\ndb_password = " + b.password() + "\ndb_host = db\nEOF\n"})
	b.add("command", list{"sh", "-c", "PGPASSWORD=" + b.password() + " psql -h db -U app -c 'select 1'"})
}

// injectors put secrets where they can be found.
func (b *builder) injectors() {
	b.add(env("PROXY_CONFIG"), compact(object{"discoveryAddress": "istiod.istio-system.svc:15012", "proxyMetadata": object{"DB_PASSWORD": b.password(), "DNS_CAPTURE": "true"}, "concurrency": 2}))
	b.add(env("ISTIO_METAJSON_ANNOTATIONS"), compact(object{"prometheus.io/scrape": "true", "example.com/api-token": b.secret(b.of(alnum, 32)), "sidecar.istio.io/inject": "true"}))
	b.add(env("ISTIO_METAJSON_LABELS"), compact(object{"app": "web", "license-key": b.secret(b.of(alnum, 24))}))
	b.add(env("VAULT_CONFIG"), b.base64(compact(object{"auto_auth": object{"method": object{"type": "approle", "config": object{"role": "web"}}}, "vault": object{"address": "https://vault:8200", "token": b.secret("hv", "s.", b.of(alnum, 90))}})))
	b.add("args", list{"--app-id", "web", "--dapr-api-token", b.secret(b.of(alnum, 32)), "--dapr-http-port", "3500"})
	b.add(env("DAPR_API_TOKEN"), b.secret(b.of(hex, 32)))
	b.add(env("LINKERD2_PROXY_TAP_AUTH_TOKEN"), b.secret(b.of(alnum, 32)))
	b.add(env("OTEL_EXPORTER_OTLP_HEADERS"), "api-key="+b.secret(b.of(alnum, 32))+",x-tenant=shop")
	b.add(env("OTEL_EXPORTER_OTLP_HEADERS"), "Authorization=Basic%20"+b.base64("web:"+b.password()))
	b.add(env("OTEL_CONFIG"), "exporters:\n  otlp:\n    endpoint: otel.example.com:4317\n    headers:\n      authorization: Bearer "+b.secret(b.of(alnum, 40))+"\n")
	b.add(env("CONSUL_HTTP_AUTH"), "web:"+b.secret(b.of(alnum, 20)))
	b.add(env("DD_API_KEY"), b.secret(b.of(hex, 32)))
	b.add(env("NEW_RELIC_LICENSE_KEY"), b.secret(b.of(hex, 36), "NRAL"))
	b.add("annotations[example.com/db-password]", b.password())
	b.add("annotations[kubectl.kubernetes.io/last-applied-configuration]", compact(object{"kind": "Pod", "spec": object{"containers": list{object{"name": "web", "env": list{object{"name": "DB_PASSWORD", "value": b.password()}}}}}}))
	b.add("annotations[vault.hashicorp.com/agent-inject-template-db]", "{{ with secret \"db/creds\" }}{{ end }}\npassword: "+b.password())
	b.add("labels[api-token]", b.secret(b.of(alnum, 32)))
}

// places are the others where a Pod can hold a secret.
func (b *builder) places() {
	b.add("livenessProbe.httpGet.httpHeaders[Authorization].value", "Bearer "+b.secret(b.of(alnum, 32)))
	b.add("livenessProbe.httpGet.httpHeaders", list{object{"name": "X-Api-Key", "value": b.secret(b.of(alnum, 24))}, object{"name": "Accept", "value": "*/*"}})
	b.add("readinessProbe.httpGet.httpHeaders[Authorization].value", "Basic "+b.base64("probe:"+b.password()))
	b.add("readinessProbe.httpGet.path", "/ready?token="+b.secret(b.of(alnum, 20)))
	b.add("livenessProbe.exec.command", list{"mysqladmin", "ping", "--password=" + b.password()})
	b.add("startupProbe.exec.command", list{"redis-cli", "--pass", b.password(), "ping"})
	b.add("lifecycle.postStart.exec.command", list{"sh", "-c", "vault login token=" + b.secret("hv", "s.", b.of(alnum, 24))})
	b.add("lifecycle.preStop.httpGet.httpHeaders[Cookie].value", "session="+b.secret(b.of(alnum, 32)))
	b.add("[secrets].csi.volumeAttributes.clientSecret", b.secret(b.of(alnum, 32)))
	b.add("[data].csi.volumeAttributes", object{"server": "nas", "password": b.password()})
	b.add("[tokens].csi.volumeAttributes.parameters", "objects: |\n  - objectName: db\npassword: "+b.password()+"\n")
	b.add("[share].flexVolume.options", object{"networkPath": "//nas/share", "mountOptions": "vers=3.0,username=web,password=" + b.password()})
	b.add("", object{"name": "istio-init", "image": "istio/proxyv2:1.28.0", "env": list{object{"name": "PROXY_PASSWORD", "value": b.password()}}, "args": list{"--log", "info"}})
	b.add("", object{"name": "web", "livenessProbe": object{"exec": object{"command": list{"check", "--secret", b.secret(b.of(alnum, 20))}}}})
	b.add("workingDir", "/app?"+"password="+b.password())
}

// Message is what somebody else says, with secrets quoted.
type Message struct {
	Text    string
	Secrets []string
}

// Messages are refusals of webhooks and policies, and errors, made with the given
// seed.
func Messages(seed uint64) []Message {
	b := &builder{random: rand.New(rand.NewPCG(seed, seed))}
	var messages []Message
	for _, form := range []string{
		`admission webhook "policy.example.com" denied the request: env DB_PASSWORD has the value "%s"`,
		`admission webhook "policy.example.com" denied the request: container web: DB_PASSWORD=%s must come from a Secret`,
		`admission webhook "policy.example.com" denied the request: plaintext password: %s`,
		`admission webhook "policy.example.com" denied the request: environment variable 'API_KEY' must not be set to '%s'`,
		`admission webhook "opa" denied the request: [denied] {"name":"DB_PASSWORD","value":"%s"} is not allowed`,
		`Pod "web-0" is invalid: spec.containers[0].env[0]: Invalid value: core.EnvVar{Name:"DB_PASSWORD", Value:"%s", ValueFrom:(*core.EnvVarSource)(nil)}: no`,
		`Pod "web-0" is invalid: metadata.annotations[example.com/db-password]: Invalid value: "%s": must be shorter`,
		`ValidatingAdmissionPolicy 'args' with binding 'args' denied request: argument --db-password=%s is not allowed`,
		`Post "https://user:%s@webhook.example.com/mutate": context deadline exceeded`,
		`failed calling webhook: dial postgres://app:%s@db:5432/shop: connection refused`,
	} {
		messages = append(messages, Message{fmt.Sprintf(form, b.password()), b.secrets})
		b.secrets = nil
	}
	for _, form := range []string{
		`admission webhook "x" denied the request: %s looks like a token`,
		`denied: header "Authorization: Bearer %s" in a probe`,
	} {
		messages = append(messages, Message{fmt.Sprintf(form, b.secret("gh", "p_", b.of(alnum, 36))), b.secrets})
		b.secrets = nil
	}
	return messages
}

// PlainMessages hold no secret, though words that tell of some.
func PlainMessages() []string {
	return []string{
		`pods "web-7f9c4d5b6a-" is forbidden: error looking up service account shop/token-reader: serviceaccount "token-reader" not found`,
		`secrets "db-password" not found`,
		`failed to get token: context deadline exceeded`,
		`admission webhook "policy.example.com" denied the request: privileged containers are not allowed`,
		`pods "web-0" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "web" must set securityContext.allowPrivilegeEscalation=false)`,
		`Pod "web-0" is invalid: spec.containers[0].image: Invalid value: "Web:1": must be lower case`,
		`Pod "web-0" is invalid: spec.volumes[3].secret.secretName: Required value`,
		`Pod "web-0" is invalid: spec.containers[0].volumeMounts[0].name: Not found: "credential-socket"`,
		`failed calling webhook "rev.namespace.sidecar-injector.istio.io": failed to call webhook: Post "https://istiod.istio-system.svc:443/inject?timeout=10s": no endpoints available for service "istiod"`,
		`exceeded quota: compute, requested: pods=1, used: pods=10, limited: pods=10`,
		`User "system:serviceaccount:sidecar-drift:sidecar-drift-auditor" cannot create resource "pods" in API group "" in the namespace "shop"`,
		`no PriorityClass with name api-token-class was found`,
		`image "registry.example.com/web@sha256:0b8d9f7e6c5a4b3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d" is not signed`,
		`the Secret "web-tls" lacks the key "password"`,
		`token expired`,
		`x509: certificate signed by unknown authority`,
	}
}
