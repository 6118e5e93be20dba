// The rooms of the design as rules. `test/checks/architecture.mjs` runs them on the tree and on a canary tree that
// breaks each of them; a rule without a canary, or a canary that stays green, fails the check.

const test = '[.]test[.](ts|mjs)$|/contract[.]ts$|/fixtures/|/src/testing/';
/** Libraries each room may import; a room that is not listed may import none. */
const ROOMS = {
  smtp: [],
  message: ['smtp'],
  records: [],
  lanes: ['records'],
  scheduler: [],
  log: ['sql'],
  blob: [],
  dns: [],
  sql: [],
  directory: ['sql', 'smtp', 'rpc'],
  rpc: [],
  runtime: [],
};
/** Packages with one home; zod and kysely's types may be anywhere. */
const HOMES = {
  kafkajs: '^libs/log/src/kafka/',
  '@grpc/grpc-js': '^libs/rpc/',
  '@grpc/reflection': '^libs/rpc/',
  'grpc-health-check': '^libs/rpc/',
  'smtp-server': '^services/ingress/src/smtp/',
  nodemailer: '^services/delivery/src/transport/smtp/',
  'prom-client': '^libs/runtime/',
  '@opentelemetry/api': '^libs/runtime/',
  '@opentelemetry/resources': '^libs/runtime/',
  '@opentelemetry/sdk-trace': '^libs/runtime/',
  '@opentelemetry/exporter-trace-otlp-proto': '^libs/runtime/',
  pino: '^libs/runtime/',
  yaml: '^libs/runtime/',
  'better-sqlite3': '^libs/sql/',
  pg: '^libs/sql/',
  '@aws-sdk/client-s3': '^libs/blob/',
  'dns-packet': '^libs/dns/',
  '@node-rs/argon2': '^libs/directory/',
  '@kubernetes/client-node': '^services/angarium/',
  commander: '^services/angarium/',
  selfsigned: '^services/angarium/',
};

const roomImports = Object.entries(ROOMS).map(([room, allowed]) => ({
  name: `${room}-imports`,
  comment: `libs/${room} may import ${allowed.length === 0 ? 'no other room' : allowed.join(', ')}: move the code to where its need is, or take what it needs as an argument.`,
  severity: 'error',
  from: { path: `^libs/${room}/`, pathNot: test },
  to: { path: '^(libs|services)/', pathNot: [`^libs/${room}/`, ...allowed.map((name) => `^libs/${name}/`)] },
}));

const homes = Object.entries(HOMES).map(([name, home]) => ({
  name: `${name.replaceAll(/[@/]/g, '-').replace(/^-/, '')}-at-home`,
  comment: `${name} is imported in ${home} only: go through that room's door.`,
  severity: 'error',
  from: { path: '^(libs|services)/', pathNot: [home, test] },
  to: { path: `(^|/)node_modules/${name}/` },
}));

export default {
  forbidden: [
    ...roomImports,
    ...homes,
    {
      name: 'services-meet-on-the-log',
      comment: 'A service never imports another one: they meet on the log and over gRPC. Only the command joins them.',
      severity: 'error',
      from: { path: '^services/([^/]+)/', pathNot: '^services/angarium/' },
      to: { path: '^services/', pathNot: '^services/$1/' },
    },
    {
      name: 'pure-rooms',
      comment: 'Pure rooms do no I/O and ask no clock: time and chance are arguments.',
      severity: 'error',
      from: { path: '^libs/(smtp|message|lanes|scheduler)/', pathNot: test },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(assert|buffer|util|string_decoder|url)$' },
    },
    {
      name: 'one-door',
      comment: "A room is entered by its door (src/index.ts, or src/contract.ts for a port's suite).",
      severity: 'error',
      from: { path: '^((services|libs)/[^/]+)/' },
      to: { path: '^(services|libs)/[^/]+/src/', pathNot: ['^$1/', '/src/(index|contract)[.]ts$'] },
    },
    {
      name: 'tests-use-doors-too',
      comment: 'Tests that cross rooms use the doors.',
      severity: 'error',
      from: { path: '^test/', pathNot: '^test/checks/' },
      to: { path: '^(services|libs)/[^/]+/src/', pathNot: ['/src/(index|contract)[.]ts$', '^services/angarium/src/'] },
    },
    {
      name: 'code-not-to-tests',
      comment: 'What runs does not import what tests it.',
      severity: 'error',
      from: { path: '^(libs|services)/', pathNot: test },
      to: { path: [test, '^test/'] },
    },
    {
      name: 'no-cycles',
      comment: 'Two files that need each other are one, or a third is missing.',
      severity: 'error',
      from: {},
      to: { circular: true, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'not-to-unresolvable',
      comment: 'An import that cannot be followed would hide from every other rule.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '/src/gen/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
