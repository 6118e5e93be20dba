#!/bin/sh
# Regenerates the committed codecs and service stubs. Run by `npm run generate`; offline.
set -eu
cd "$(dirname "$0")/.."
common='"esModuleInterop=true","enumsAsLiterals=true","importSuffix=.ts","env=both","forceLong=number","outputJsonMethods=false","useExactTypes=false","oneof=unions-value","exportCommonSymbols=false","removeEnumPrefix=true"'
generate() { # path, output folder, services
  template="{\"version\":\"v2\",\"plugins\":[{\"local\":[\"node_modules/.bin/protoc-gen-ts_proto\"],\"out\":\"$2\",\"opt\":[$common,\"outputServices=$3\"]}]}"
  buf generate proto --template "$template" --path "$1"
}
rm -rf libs/records/src/gen libs/rpc/src/gen
generate proto/angarium/log libs/records/src/gen none
generate proto/angarium/directory libs/rpc/src/gen grpc-js
generate proto/angarium/mailbox libs/rpc/src/gen grpc-js
generate proto/angarium/queue libs/rpc/src/gen grpc-js
generate proto/angarium/quota libs/rpc/src/gen grpc-js
generate proto/externalscaler libs/rpc/src/gen grpc-js
