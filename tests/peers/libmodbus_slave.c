/* A Modbus slave on libmodbus.
 *
 *   libmodbus_slave tcp PORT MAP      listens on 127.0.0.1
 *   libmodbus_slave rtu TTY MAP       9600 8N1
 *
 * MAP is the text of tests/peers/memory.py: "unit N", then "AREA START VALUE VALUE ..." for each of
 * coil, discrete, holding, input. Says "ready" and serves one unit until its standard input ends, so
 * that it cannot outlive whoever started it.
 */
#include <errno.h>
#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

enum { COIL, DISCRETE, HOLDING, INPUT, AREAS };

static const char *const names[AREAS] = {"coil", "discrete", "holding", "input"};

struct table {
    unsigned start, count;
    uint16_t values[4096];
};

static struct table tables[AREAS];
static int unit;

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, modbus_strerror(errno));
    return 1;
}

static int read_map(const char *path)
{
    static char line[65536];
    FILE *file = fopen(path, "r");
    if (!file)
        return -1;
    while (fgets(line, sizeof line, file)) {
        char *word = strtok(line, " \n");
        if (word && !strcmp(word, "unit"))
            unit = atoi(strtok(NULL, " \n"));
        for (int area = 0; word && area < AREAS; area++) {
            struct table *table = &tables[area];
            if (strcmp(word, names[area]))
                continue;
            table->start = (unsigned)atoi(strtok(NULL, " \n"));
            while ((word = strtok(NULL, " \n")) && table->count < 4096)
                table->values[table->count++] = (uint16_t)atoi(word);
            break;
        }
    }
    return fclose(file);
}

static modbus_mapping_t *make_mapping(void)
{
    modbus_mapping_t *map = modbus_mapping_new_start_address(
        tables[COIL].start, tables[COIL].count, tables[DISCRETE].start, tables[DISCRETE].count,
        tables[HOLDING].start, tables[HOLDING].count, tables[INPUT].start, tables[INPUT].count);
    if (!map)
        return NULL;
    for (unsigned i = 0; i < tables[COIL].count; i++)
        map->tab_bits[i] = (uint8_t)tables[COIL].values[i];
    for (unsigned i = 0; i < tables[DISCRETE].count; i++)
        map->tab_input_bits[i] = (uint8_t)tables[DISCRETE].values[i];
    memcpy(map->tab_registers, tables[HOLDING].values, 2 * tables[HOLDING].count);
    memcpy(map->tab_input_registers, tables[INPUT].values, 2 * tables[INPUT].count);
    return map;
}

/* Answers one request; returns -1 when the other side is gone. */
static int serve_one(modbus_t *context, modbus_mapping_t *map)
{
    uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
    int length = modbus_receive(context, request);
    if (length <= 0) /* 0: for another unit, which libmodbus knows on a serial line only */
        return length;
    if (request[modbus_get_header_length(context) - 1] != unit)
        return 0;
    return modbus_reply(context, request, length, map);
}

static int serve_rtu(modbus_t *context, modbus_mapping_t *map)
{
    int line = modbus_get_socket(context);
    for (;;) {
        fd_set ready;
        FD_ZERO(&ready);
        FD_SET(STDIN_FILENO, &ready);
        FD_SET(line, &ready);
        if (select(line + 1, &ready, NULL, NULL, NULL) < 0)
            return fail("select");
        if (FD_ISSET(STDIN_FILENO, &ready))
            return 0;
        serve_one(context, map); /* a broken frame is no reason to stop */
    }
}

static int serve_tcp(modbus_t *context, modbus_mapping_t *map)
{
    fd_set open;
    int listener = modbus_tcp_listen(context, 8);
    int highest = listener;
    if (listener < 0)
        return fail("listen");
    FD_ZERO(&open);
    FD_SET(STDIN_FILENO, &open);
    FD_SET(listener, &open);
    puts("ready");
    for (;;) {
        fd_set ready = open;
        if (select(highest + 1, &ready, NULL, NULL, NULL) < 0)
            return fail("select");
        if (FD_ISSET(STDIN_FILENO, &ready))
            return 0;
        if (FD_ISSET(listener, &ready)) {
            int client = modbus_tcp_accept(context, &listener);
            if (client >= 0) {
                FD_SET(client, &open);
                highest = client > highest ? client : highest;
            }
        }
        for (int client = 0; client <= highest; client++) {
            if (client == STDIN_FILENO || client == listener || !FD_ISSET(client, &ready))
                continue;
            modbus_set_socket(context, client);
            if (serve_one(context, map) < 0) {
                FD_CLR(client, &open);
                close(client);
            }
        }
    }
}

int main(int count, char **words)
{
    modbus_mapping_t *map;
    modbus_t *context;
    int is_tcp, result;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count != 4 || read_map(words[3]) < 0 || !(map = make_mapping())) {
        fprintf(stderr, "usage: libmodbus_slave tcp PORT MAP | rtu TTY MAP\n");
        return 2;
    }
    is_tcp = !strcmp(words[1], "tcp");
    context = is_tcp ? modbus_new_tcp("127.0.0.1", atoi(words[2]))
                     : modbus_new_rtu(words[2], 9600, 'N', 8, 1);
    if (!context || modbus_set_slave(context, unit) < 0)
        return fail("context");
    if (is_tcp) {
        result = serve_tcp(context, map);
    } else {
        if (modbus_connect(context) < 0)
            return fail("connect");
        puts("ready");
        result = serve_rtu(context, map);
    }
    modbus_mapping_free(map);
    modbus_free(context);
    return result;
}
