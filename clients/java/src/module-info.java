/** gomd for Java; it needs nothing but java.base. */
module gomd {
    exports gomd;
}
