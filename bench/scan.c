/*
 * The floor of a process scan: open, read and close each PROC/PID/stat, and look at nothing.
 *
 * usage: scan ROUNDS; after each line on stdin scans ROUNDS times and prints the processes seen and
 * the nanoseconds of each round, so that its rounds can be interleaved with somebody else's.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long scan(void)
{
	char path[64], buffer[4096];
	long seen = 0;
	struct dirent *entry;
	DIR *directory = opendir("/proc");

	if (!directory)
		exit(1);
	while ((entry = readdir(directory))) {
		int fd;

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof path, "/proc/%.20s/stat", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, buffer, sizeof buffer) > 0)
			seen++;
		close(fd);
	}
	closedir(directory);
	return seen;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 1;
	char line[16];

	while (fgets(line, sizeof line, stdin)) {
		for (int round = 0; round < rounds; round++) {
			struct timespec before, after;
			long seen;

			clock_gettime(CLOCK_MONOTONIC, &before);
			seen = scan();
			clock_gettime(CLOCK_MONOTONIC, &after);
			printf("%ld %lld\n", seen, (after.tv_sec - before.tv_sec) * 1000000000LL
			       + (after.tv_nsec - before.tv_nsec));
		}
		fflush(stdout);
	}
	return 0;
}
