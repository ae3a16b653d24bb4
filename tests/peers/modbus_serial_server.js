// A Modbus server on the npm package modbus-serial; usage and map as in libmodbus_slave.c:
//   node modbus_serial_server.js tcp PORT MAP | rtu TTY MAP
// The package is found through NODE_PATH.
"use strict";

const fs = require("fs");
const ModbusRTU = require("modbus-serial");

const ILLEGAL_DATA_ADDRESS = 2; // Modbus Application Protocol 1.1b3, section 7

const [wire, place, mapPath] = process.argv.slice(2);
const tables = {};
let unit = 0;
for (const line of fs.readFileSync(mapPath, "utf8").split("\n")) {
  const [word, first, ...values] = line.trim().split(" ");
  if (word === "unit") unit = Number(first);
  else if (word) tables[word] = { start: Number(first), values: values.map(Number) };
}

function at(area, address) {
  const { start, values } = tables[area];
  if (address < start || address >= start + values.length) {
    throw { modbusErrorCode: ILLEGAL_DATA_ADDRESS };
  }
  return address - start;
}

const read = (area) => (address) => tables[area].values[at(area, address)];

const vector = {
  getCoil: (address) => Boolean(read("coil")(address)),
  getDiscreteInput: (address) => Boolean(read("discrete")(address)),
  getHoldingRegister: read("holding"),
  getInputRegister: read("input"),
  setCoil: (address, value) => {
    tables.coil.values[at("coil", address)] = Number(value);
  },
};

const server =
  wire === "tcp"
    ? new ModbusRTU.ServerTCP(vector, { host: "127.0.0.1", port: Number(place), unitID: unit })
    : new ModbusRTU.ServerSerial(vector, { port: place, baudRate: 9600, unitID: unit });

server.on("initialized", () => console.log("ready"));
server.on("serverError", (error) => {
  console.error(error.message);
  process.exit(1);
});
server.on("socketError", () => {}); // a client that hangs up; the package says so here
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
