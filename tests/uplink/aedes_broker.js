// A broker on the npm package aedes (MQTT 3.1.1); usage: node aedes_broker.js PORT [MOST_BYTES [REFUSED]].
// It ends the connection of whoever publishes more than MOST_BYTES (0: anything goes), or on a topic with
// REFUSED in it: so this make says no. Subscriptions to such topics it refuses with a code. The package is
// found through NODE_PATH. Ends with its standard input.
"use strict";

const net = require("net");
const most = Number(process.argv[3]) || Infinity;
const refused = process.argv[4];
const mayPublish = (packet) =>
  packet.payload.length <= most && !(refused && packet.topic.includes(refused));
const aedes = require("aedes")({
  authorizePublish: (client, packet, done) => done(mayPublish(packet) ? null : new Error("refused")),
  authorizeSubscribe: (client, wanted, done) =>
    done(null, refused && wanted.topic.includes(refused) ? null : wanted),
});

net.createServer(aedes.handle).listen(Number(process.argv[2]), "127.0.0.1");
process.stdin.on("end", () => process.exit(0)).resume();
