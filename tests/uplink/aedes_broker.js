// A broker on the npm package aedes (MQTT 3.1.1); usage: node aedes_broker.js PORT [MOST_BYTES].
// With MOST_BYTES it ends the connection of whoever publishes more. The package is found through
// NODE_PATH. Ends with its standard input.
"use strict";

const net = require("net");
const most = Number(process.argv[3] || Infinity);
const aedes = require("aedes")({
  authorizePublish: (client, packet, done) =>
    done(packet.payload.length > most ? new Error("too large") : null),
});

net.createServer(aedes.handle).listen(Number(process.argv[2]), "127.0.0.1");
process.stdin.on("end", () => process.exit(0)).resume();
