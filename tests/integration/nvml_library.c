/* What NVIDIA's libnvidia-ml.so.1 has of the functions that gomd's child process asks: a machine with two cards. */
#include <stddef.h>
#include <stdio.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9 };

struct utilization {
    unsigned gpu, memory;
};
struct memory {
    unsigned long long total, free, used;
};
struct process { /* nvmlProcessInfo_v2_t and _v3_t */
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};

static int cards[2] = {0, 1};

int nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
#ifdef NO_DRIVER
    return DRIVER_NOT_LOADED;
#else
    return SUCCESS;
#endif
}

const char *nvmlErrorString(int number)
{
    return number == DRIVER_NOT_LOADED ? "Driver Not Loaded" : "Not Supported";
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = 2;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned number, void **handle)
{
    *handle = &cards[number];
    return SUCCESS;
}

int nvmlDeviceGetName(int *card, char *name, unsigned size)
{
    snprintf(name, size, "NVIDIA T%d", *card);
    return SUCCESS;
}

int nvmlDeviceGetUUID(int *card, char *uuid, unsigned size)
{
    snprintf(uuid, size, "GPU-%d", *card);
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(int *card, struct utilization *rates)
{
    if (*card == 1)
        return NOT_SUPPORTED;
    rates->gpu = 37;
    rates->memory = 5;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(int *card, struct memory *memory)
{
    (void)card;
    memory->total = 16ULL << 30;
    memory->used = 3ULL << 30;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(int *card, int sensor, unsigned *celsius)
{
    (void)sensor;
    *celsius = 60 + *card;
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(int *card, unsigned *milliwatts)
{
    (void)card;
    *milliwatts = 70500;
    return SUCCESS;
}

#ifndef NO_PROCESSES
/* The first process of both cards does not tell its memory, as in a container or on WSL. */
int PROCESSES(Compute)(int *card, unsigned *count, struct process *found)
{
    if (found == NULL || *count < 2) {
        *count = 2;
        return INSUFFICIENT_SIZE;
    }
    found[0] = (struct process){42, ~0ULL, 0, 0};
    found[1] = (struct process){43, (1ULL + *card) << 30, 0, 0};
    *count = 2;
    return SUCCESS;
}

int PROCESSES(Graphics)(int *card, unsigned *count, struct process *found)
{
    (void)card, (void)found;
    *count = 0;
    return SUCCESS;
}
#endif
