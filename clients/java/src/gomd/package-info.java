/**
 * gomd for Java: asks a cluster's daemons, watches, and runs commands. {@link gomd.Gomd} is where to begin.
 */
package gomd;
